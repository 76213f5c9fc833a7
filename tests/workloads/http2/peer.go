// net/http without TLS: `server PORT`, or `client TOKEN SERVER=PORT...`, which begins at a line of input. See live/http2_peers.rs.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(right bool, what ...any) {
	if !right {
		panic(fmt.Sprint(what...))
	}
}

func onlyHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// What requests wait for, by their token.
var left sync.Map

func leave(token string) chan struct{} {
	found, _ := left.LoadOrStore(token, make(chan struct{}))
	return found.(chan struct{})
}

func handle(answer http.ResponseWriter, request *http.Request) {
	parts := strings.Split(request.URL.Path, "/")
	flush := func() { must(http.NewResponseController(answer).Flush()) }
	text := "ok\n"
	switch parts[3] {
	case "post", "upload":
		length, err := io.Copy(io.Discard, request.Body)
		must(err)
		text = fmt.Sprint(length)
	case "download":
		text = strings.Repeat("x", 300_000)
	case "trailers":
		_, err := io.Copy(io.Discard, request.Body)
		must(err)
		expect(request.Trailer.Get("sum") == "1", request.Trailer)
		answer.Header().Set("trailer", "sum")
		defer answer.Header().Set("sum", "2")
	case "status":
		code, err := strconv.Atoi(parts[4])
		must(err)
		answer.WriteHeader(code)
	case "hints":
		answer.Header().Set("link", "</style>; rel=preload")
		answer.WriteHeader(http.StatusEarlyHints)
	case "cancel":
		flush()
		<-request.Context().Done()
	case "hang":
		<-request.Context().Done()
	case "reset":
		flush()
		panic(http.ErrAbortHandler)
	case "hold":
		flush()
		<-leave(parts[1])
	case "leave":
		answer.Header().Set("connection", "close")
		flush()
		close(leave(parts[1]))
	}
	io.WriteString(answer, text)
}

type client struct {
	http.Client
	prefix string
}

func (c *client) send(ctx context.Context, method, path string, body io.Reader, trailer http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.prefix+path, body)
	must(err)
	request.Trailer = trailer
	return c.Do(request)
}

// The status and the content of an answer.
func (c *client) call(method, path string, body io.Reader) (int, string) {
	answer, err := c.send(context.Background(), method, path, body, nil)
	must(err)
	return answer.StatusCode, content(answer)
}

func content(answer *http.Response) string {
	text, err := io.ReadAll(answer.Body)
	must(err)
	must(answer.Body.Close())
	return string(text)
}

func (c *client) get(path string) {
	code, text := c.call("GET", path, nil)
	expect(code == 200 && text == "ok\n", path, code, text)
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

func (c *client) run(server string) {
	atATime(20, 200, func(n int) { c.get(fmt.Sprint("get/", n)) })
	atATime(5, 20, func(n int) {
		code, text := c.call("POST", fmt.Sprint("post/", n), bytes.NewReader(make([]byte, 10_000)))
		expect(code == 200 && text == "10000", code, text)
	})
	code, text := c.call("POST", "upload", bytes.NewReader(make([]byte, 300_000)))
	expect(code == 200 && text == "300000", code, text)
	code, text = c.call("GET", "download", nil)
	expect(code == 200 && len(text) == 300_000, code)
	trailer := http.Header{"Sum": {"1"}}
	answer, err := c.send(context.Background(), "POST", "trailers", io.MultiReader(strings.NewReader("x")), trailer)
	must(err)
	expect(content(answer) == "ok\n" && answer.Trailer.Get("sum") == "2", answer)
	code, text = c.call("HEAD", "head", nil)
	expect(code == 200 && text == "", code)
	for _, status := range []int{404, 503} {
		code, _ = c.call("GET", fmt.Sprint("status/", status), nil)
		expect(code == status, code)
	}
	if server != "hyper" {
		c.get("hints")
	}
	ctx, cancel := context.WithCancel(context.Background())
	answer, err = c.send(ctx, "GET", "cancel", nil, nil)
	must(err)
	cancel()
	_, err = io.ReadAll(answer.Body)
	expect(errors.Is(err, context.Canceled), err)
	ctx, cancel = context.WithCancel(context.Background())
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: cancel})
	_, err = c.send(ctx, "GET", "hang", nil, nil)
	expect(errors.Is(err, context.Canceled), err)
	c.get("behind")
	answer, err = c.send(context.Background(), "GET", "reset", nil, nil)
	if err == nil {
		_, err = io.ReadAll(answer.Body)
	}
	expect(err != nil && strings.Contains(err.Error(), "stream error"), err)
	code, text = c.call("POST", "early", bytes.NewReader(make([]byte, 1_000_000)))
	expect(code == 200 && text == "ok\n", code, text)
	var held []*http.Response
	for n := range 5 {
		answer, err := c.send(context.Background(), "GET", fmt.Sprint("hold/", n), nil, nil)
		must(err)
		held = append(held, answer)
	}
	c.get("leave")
	for _, answer := range held {
		expect(content(answer) == "ok\n", "hold")
	}
	atATime(5, 5, func(n int) { c.get(fmt.Sprint("after/", n)) })
}

func main() {
	if os.Args[1] == "server" {
		fmt.Println("listening")
		server := http.Server{Addr: "127.0.0.1:" + os.Args[2], Handler: http.HandlerFunc(handle), Protocols: onlyHTTP2()}
		must(server.ListenAndServe())
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	for _, argument := range os.Args[3:] {
		server, port, _ := strings.Cut(argument, "=")
		transport := &http.Transport{Protocols: onlyHTTP2()}
		prefix := fmt.Sprintf("http://127.0.0.1:%s/%s/%s/", port, os.Args[2], server)
		(&client{http.Client{Transport: transport}, prefix}).run(server)
		transport.CloseIdleConnections()
	}
	fmt.Println("done")
}
