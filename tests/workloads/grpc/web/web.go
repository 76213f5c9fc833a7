// connect-go, which speaks gRPC-Web over HTTP/1.1: `server PORT SERVICE`, or `client PORT SERVICE`, which begins at a line
// of input. See live/web.rs.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
			// Longer than what is copied of a call.
			err = stream.Send(wrapperspb.String(fmt.Sprintf("%0*d", 20_000*number, number)))
		}
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/"+service+"/Status", connect.NewUnaryHandler("/"+service+"/Status", status))
	mux.Handle("/"+service+"/Download", connect.NewServerStreamHandler("/"+service+"/Download", download))
	fmt.Println("listening")
	must(http.ListenAndServe("127.0.0.1:"+port, mux))
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

func call(url, service string) {
	client := func(method string, options ...connect.ClientOption) *connect.Client[text, text] {
		options = append(options, connect.WithGRPCWeb())
		return connect.NewClient[text, text](http.DefaultClient, url+"/"+service+"/"+method, options...)
	}
	// Trailers are compressed as messages are, unless the client does not accept that.
	plain := connect.WithAcceptCompression("gzip", nil, nil)
	status, download, compressed := client("Status", plain), client("Download", plain), client("Status")
	atATime(10, 200, func(n int) {
		_, err := status.CallUnary(context.Background(), request(fmt.Sprint("u", n), "0"))
		must(err)
	})
	atATime(10, 20, func(n int) {
		_, err := compressed.CallUnary(context.Background(), request(fmt.Sprint("z", n), "0"))
		must(err)
	})
	atATime(5, 20, func(n int) {
		stream, err := download.CallServerStream(context.Background(), request(fmt.Sprint("d", n), "7"))
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
	for code := range 17 {
		_, err := status.CallUnary(context.Background(), request(fmt.Sprint("s", code), fmt.Sprint(code)))
		if code != 0 && connect.CodeOf(err) != connect.Code(code) {
			panic(fmt.Sprint(code, err))
		}
	}
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
	call("http://127.0.0.1:"+port, service)
	fmt.Println("done")
}
