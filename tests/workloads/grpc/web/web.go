// connect-go, which speaks gRPC-Web: `server PORT SERVICE`, or `client PORT SERVICE VERSION`, which begins at a line of
// input. VERSION is 1.1 or 2; over HTTP/2 gRPC is spoken as well. See live/web.rs.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type text = wrapperspb.StringValue

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func serve(port, service string) {
	status := func(_ context.Context, request *connect.Request[text]) (*connect.Response[text], error) {
		code, err := strconv.Atoi(request.Msg.Value)
		must(err)
		if code != 0 {
			return nil, connect.NewError(connect.Code(code), errors.New("as asked"))
		}
		return connect.NewResponse(request.Msg), nil
	}
	download := func(_ context.Context, request *connect.Request[text], stream *connect.ServerStream[text]) error {
		count, err := strconv.Atoi(request.Msg.Value)
		for number := 0; err == nil && number < count; number++ {
			err = stream.Send(wrapperspb.String(fmt.Sprintf("%0*d", calls()*calls()/2*number, number)))
		}
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/"+service+"/Status", connect.NewUnaryHandler("/"+service+"/Status", status))
	mux.Handle("/"+service+"/Download", connect.NewServerStreamHandler("/"+service+"/Download", download))
	server := http.Server{Handler: mux, Protocols: protocols(true, true)}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	must(err)
	fmt.Println("listening")
	must(server.Serve(listener))
}

func protocols(one, two bool) *http.Protocols {
	var protocols http.Protocols
	protocols.SetHTTP1(one)
	protocols.SetUnencryptedHTTP2(two)
	return &protocols
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

func request(number, value string) *connect.Request[text] {
	request := connect.NewRequest(wrapperspb.String(value))
	request.Header().Set("number", number)
	return request
}

// Of each kind as many, or a tenth. 200 make messages that are longer than what is copied of a call.
func calls() int {
	if few, err := strconv.Atoi(os.Getenv("CALLS")); err == nil {
		return few
	}
	return 200
}

type caller struct {
	http         *http.Client
	url, service string
}

func (c caller) client(method string, options ...connect.ClientOption) *connect.Client[text, text] {
	return connect.NewClient[text, text](c.http, c.url+"/"+c.service+"/"+method, options...)
}

func (c caller) unary(kind string, count int, options ...connect.ClientOption) {
	client := c.client("Status", options...)
	atATime(10, count, func(n int) {
		_, err := client.CallUnary(context.Background(), request(fmt.Sprint(kind, n), "0"))
		must(err)
	})
}

func (c caller) download(kind string, count int, options ...connect.ClientOption) {
	client := c.client("Download", options...)
	atATime(5, count, func(n int) {
		stream, err := client.CallServerStream(context.Background(), request(fmt.Sprint(kind, n), "7"))
		must(err)
		count := 0
		for stream.Receive() {
			count++
		}
		must(stream.Err())
		if count != 7 {
			panic(count)
		}
	})
}

func (c caller) call(two bool) {
	// Trailers are compressed as messages are, unless the client does not accept that.
	web, plain := connect.WithGRPCWeb(), connect.WithAcceptCompression("gzip", nil, nil)
	few := calls() / 10
	c.unary("u", calls(), web, plain)
	c.unary("z", few, web, connect.WithSendGzip())
	c.download("d", few, web, plain)
	status := c.client("Status", web, plain)
	for code := range 17 {
		_, err := status.CallUnary(context.Background(), request(fmt.Sprint("s", code), fmt.Sprint(code)))
		if code != 0 && connect.CodeOf(err) != connect.Code(code) {
			panic(fmt.Sprint(code, err))
		}
	}
	if two {
		// Messages are compressed both ways; trailers are HTTP/2's.
		c.unary("g", few, connect.WithGRPC(), connect.WithSendGzip())
		c.download("h", few, connect.WithGRPC(), connect.WithSendGzip())
	}
}

func main() {
	port, service := os.Args[2], os.Args[3]
	if os.Args[1] == "server" {
		serve(port, service)
		return
	}
	two := os.Args[4] == "2"
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols(!two, two)}}
	caller{client, "http://127.0.0.1:" + port, service}.call(two)
	fmt.Println("done")
}
