// grpc-go: `server PORT SERVICE`, or `client PORT SERVICE WHAT`, which begins at a line of input. WHAT is `load`, `scan`,
// `single`, `traced`, `bulk`, `endings`, `answers` or a method of endings.go. See live/grpc.rs and its neighbours.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Messages are bytes: no code is generated.
type raw struct{}

func (raw) Name() string                        { return "raw" }
func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func receive(stream interface{ RecvMsg(any) error }) ([]byte, error) {
	var message []byte
	err := stream.RecvMsg(&message)
	return message, err
}

// Every answer of a handler is the messages of a stream; a unary one has one.
func method(name string, fromClient, fromServer bool, handle func(grpc.ServerStream) error) grpc.StreamDesc {
	return grpc.StreamDesc{
		StreamName: name, ClientStreams: fromClient, ServerStreams: fromServer,
		Handler: func(_ any, stream grpc.ServerStream) error { return handle(stream) },
	}
}

func send(stream grpc.ServerStream, text string) error {
	message := []byte(text)
	return stream.SendMsg(&message)
}

func handleStatus(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	must(decode(&request))
	code, err := strconv.Atoi(string(request))
	must(err)
	return &request, status.Error(codes.Code(code), "as asked")
}

func handleUnary(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	return &request, decode(&request)
}

var streams = []grpc.StreamDesc{
	method("Upload", true, false, func(stream grpc.ServerStream) error {
		for count := 0; ; count++ {
			if _, err := receive(stream); err == io.EOF {
				return send(stream, strconv.Itoa(count))
			} else if err != nil {
				return err
			}
		}
	}),
	method("Download", false, true, func(stream grpc.ServerStream) error {
		request, err := receive(stream)
		count, _ := strconv.Atoi(string(request))
		for number := 0; err == nil && number < count; number++ {
			err = send(stream, strconv.Itoa(number))
		}
		return err
	}),
	method("Chat", true, true, func(stream grpc.ServerStream) error {
		for {
			message, err := receive(stream)
			if err == io.EOF {
				return nil
			}
			if err == nil {
				err = send(stream, string(message))
			}
			if err != nil {
				return err
			}
		}
	}),
	method("Slow", false, true, func(stream grpc.ServerStream) error {
		if _, err := receive(stream); err != nil {
			return err
		}
		must(send(stream, "first"))
		time.Sleep(2 * time.Second)
		return send(stream, "last")
	}),
}

func serve(port, service string) {
	server = grpc.NewServer(grpc.ForceServerCodec(raw{}))
	unary := []grpc.MethodDesc{
		{MethodName: "Unary", Handler: handleUnary},
		{MethodName: "Status", Handler: handleStatus},
	}
	description := grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil), Methods: unary, Streams: append(streams, endings...)}
	server.RegisterService(&description, struct{}{})
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	must(err)
	fmt.Println("listening")
	must(server.Serve(listener))
}

func atATime(tasks, count int, call func(int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range tasks {
		group.Go(func() {
			for index := range next {
				call(index)
			}
		})
	}
	for index := range count {
		next <- index
	}
	close(next)
	group.Wait()
}

type client struct {
	*grpc.ClientConn
	service string
}

func (c client) unary(method, number string, request []byte, fields ...string) ([]byte, error) {
	var answer []byte
	ctx := metadata.AppendToOutgoingContext(context.Background(), append(fields, "number", number)...)
	err := c.Invoke(ctx, "/"+c.service+"/"+method, &request, &answer)
	return answer, err
}

// Sends so many messages of a text; how many come back.
func (c client) stream(method, number string, count int, text string) int {
	ctx := metadata.AppendToOutgoingContext(context.Background(), "number", number)
	description := grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := c.NewStream(ctx, &description, "/"+c.service+"/"+method)
	must(err)
	message := []byte(text)
	for range count {
		must(stream.SendMsg(&message))
	}
	must(stream.CloseSend())
	for answers := 0; ; answers++ {
		if _, err := receive(stream); err == io.EOF {
			return answers
		} else {
			must(err)
		}
	}
}

func expect(right bool, what ...any) {
	if !right {
		panic(fmt.Sprint(what...))
	}
}

func calls(usual int) int {
	if few, err := strconv.Atoi(os.Getenv("CALLS")); err == nil {
		return few
	}
	return usual
}

func (c client) load() {
	calls := calls(1000)
	atATime(50, calls, func(n int) {
		_, err := c.unary("Unary", fmt.Sprint("u", n), make([]byte, n))
		must(err)
	})
	atATime(10, calls/10, func(n int) { expect(c.stream("Upload", fmt.Sprint("r", n), 5, "x") == 1, "Upload") })
	atATime(10, calls/10, func(n int) { expect(c.stream("Download", fmt.Sprint("d", n), 1, "7") == 7, "Download") })
	atATime(10, calls/10, func(n int) { expect(c.stream("Chat", fmt.Sprint("c", n), 4, "x") == 4, "Chat") })
	for code := range 17 {
		_, err := c.unary("Status", fmt.Sprint("s", code), []byte(strconv.Itoa(code)))
		expect(status.Code(err) == codes.Code(code), code, err)
	}
	start := time.Now()
	expect(c.stream("Slow", "l0", 1, "") == 2, "Slow")
	fmt.Println("slow", time.Since(start).Microseconds())
}

func (c client) must(method, number string, fields ...string) {
	_, err := c.unary(method, number, []byte(number), fields...)
	must(err)
}

// Made by hand, its ids from a number.
func traceparent(n int) string {
	return fmt.Sprintf("00-%032x-%016x-01", 0xabc00000+n, 0xdef00000+n)
}

func (c client) scan() {
	atATime(10, 10000, func(n int) {
		_, err := c.unary(fmt.Sprint("Random", n*7919%1000003), "x", nil)
		expect(status.Code(err) == codes.Unimplemented, err)
	})
}

func main() {
	port, service := os.Args[2], os.Args[3]
	if os.Args[1] == "server" {
		serve(port, service)
		return
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	connection, err := grpc.NewClient("127.0.0.1:"+port,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	must(err)
	caller := client{connection, service}
	switch what := os.Args[4]; what {
	case "load":
		caller.load()
	case "scan":
		caller.scan()
	case "single":
		atATime(1, calls(50), func(n int) { caller.must("Unary", fmt.Sprint("u", n)) })
	case "traced":
		atATime(50, 1000, func(n int) { caller.must("Unary", fmt.Sprint("u", n), "traceparent", traceparent(n)) })
	case "bulk":
		// With their prefixes, frames of 4 KiB.
		expect(caller.stream("Upload", "b0", 2560, strings.Repeat("x", 4091)) == 1, "Upload")
	case "endings":
		caller.endings()
	case "answers":
		caller.answers()
	default:
		caller.open(what)
	}
	must(connection.Close())
	fmt.Println("done")
}
