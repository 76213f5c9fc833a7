// Calls that do not end well, or only just. What the client makes of each is written: `ended NUMBER CODE`.
package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// In the order of their numbers, as gRPC's documents spell them.
var codeNames = strings.Fields("OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS " +
	"PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL " +
	"UNAVAILABLE DATA_LOSS UNAUTHENTICATED")

// The server that `Stop` and `Drain` end.
var server *grpc.Server

// Answers with what it was sent, unless that is nothing, and no more while the call lasts.
func wait(stream grpc.ServerStream) error {
	request, err := receive(stream)
	if err == nil && len(request) > 0 {
		err = send(stream, string(request))
	}
	if err != nil {
		return err
	}
	<-stream.Context().Done()
	return status.FromContextError(stream.Context().Err()).Err()
}

var endings = []grpc.StreamDesc{
	method("Wait", false, true, wait),
	method("Stop", false, true, func(stream grpc.ServerStream) error {
		go func() {
			time.Sleep(100 * time.Millisecond)
			server.Stop()
		}()
		return wait(stream)
	}),
	method("Drain", false, true, func(stream grpc.ServerStream) error {
		must(send(stream, "first"))
		go server.GracefulStop()
		time.Sleep(300 * time.Millisecond)
		return send(stream, "last")
	}),
}

func (c client) call(ctx context.Context, method, number, text string, answered func()) {
	ctx = metadata.AppendToOutgoingContext(ctx, "number", number)
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+c.service+"/"+method)
	if message := []byte(text); err == nil {
		err = stream.SendMsg(&message)
	}
	if err == nil {
		err = stream.CloseSend()
	}
	for err == nil {
		if _, err = receive(stream); err == nil {
			answered()
		}
	}
	if err == io.EOF {
		err = nil
	}
	fmt.Println("ended", number, codeNames[status.Code(err)])
}

func nothing() {}

func after(milliseconds int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(milliseconds)*time.Millisecond)
}

func text(n int) string {
	return strings.Repeat("x", n%2)
}

func (c client) endings() {
	c.call(context.Background(), "Status", "w0", "0", nothing)
	var group sync.WaitGroup
	group.Go(func() {
		atATime(10, 50, func(n int) {
			ctx, cancel := after(20 + 10*n)
			defer cancel()
			c.call(ctx, "Wait", fmt.Sprint("d", n), text(n), nothing)
		})
	})
	group.Go(func() {
		atATime(5, 20, func(n int) {
			ctx, cancel := context.WithCancel(context.Background())
			if n%2 == 1 {
				ctx, cancel = after(10_000)
			}
			defer cancel()
			c.call(ctx, "Wait", fmt.Sprint("c", n), "x", cancel)
		})
	})
	group.Go(func() {
		atATime(5, 30, func(n int) {
			ctx, cancel := after(200)
			defer cancel()
			time.AfterFunc(time.Duration(190-n)*time.Millisecond, cancel)
			c.call(ctx, "Wait", fmt.Sprint("n", n), text(n), nothing)
		})
	})
	group.Wait()
}

// One call after the other, as often as whoever answers has a way to.
func (c client) answers() {
	for n := range 16 {
		c.call(context.Background(), "Status", fmt.Sprint("a", n), "0", nothing)
	}
}

// One call, of a method that ends its server or waits for that.
func (c client) open(method string) {
	c.call(context.Background(), method, "o0", "x", func() { fmt.Println("open") })
}
