// HTTP/2 without TLS by Go's own library: `server PORT`, or `client PORT [REQUESTS]`, one connection that is never idle.
// A client that is not told how many requests to make writes `busy`, and makes so many more as a line of input says. See
// live/late.rs.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

var statuses = []int{200, 201, 202, 404, 200, 418, 503, 200}
var methods = []string{"GET", "GET", "POST", "PUT", "DELETE", "GET", "PATCH"}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func protocols() *http.Protocols {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &protocols
}

// Every request is written to the log before it is answered.
func serve(port string) {
	handle := func(answer http.ResponseWriter, request *http.Request) {
		number, err := strconv.Atoi(request.Header.Get("From"))
		must(err)
		_, err = io.Copy(io.Discard, request.Body)
		must(err)
		status := statuses[number%len(statuses)]
		fmt.Printf("%d %s %s %d\n", number, request.Method, request.URL.Path, status)
		answer.Header().Set("X-Answer", fmt.Sprint(number))
		answer.WriteHeader(status)
		_, err = io.WriteString(answer, strings.Repeat("o", number%100))
		must(err)
	}
	server := http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(handle), Protocols: protocols()}
	fmt.Println("listening")
	must(server.ListenAndServe())
}

// Half of the paths come again and again, and half of them once.
func path(number int) string {
	if number%2 == 0 {
		return fmt.Sprintf("/again/%d", number*7919%61)
	}
	return fmt.Sprintf("/once/%d", number)
}

func client(port string) {
	transport := &http.Transport{Protocols: protocols()}
	call := func(number int) {
		method := methods[number%len(methods)]
		var body io.Reader
		if method != "GET" && method != "DELETE" {
			body = strings.NewReader(strings.Repeat("i", number%300))
		}
		request, err := http.NewRequest(method, "http://127.0.0.1:"+port+path(number), body)
		must(err)
		request.Header.Set("From", fmt.Sprint(number))
		request.Header.Set("X-Tag", fmt.Sprint(number%9))
		answer, err := transport.RoundTrip(request)
		must(err)
		_, err = io.Copy(io.Discard, answer.Body)
		must(err)
		must(answer.Body.Close())
		if answer.StatusCode != statuses[number%len(statuses)] {
			panic(answer.Status)
		}
	}
	// Not before it is there do the others use the connection of the first.
	call(0)
	var next, last atomic.Int64
	last.Store(1 << 60)
	if len(os.Args) > 3 {
		requests, err := strconv.ParseInt(os.Args[3], 10, 64)
		must(err)
		last.Store(requests)
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for number := next.Add(1); number <= last.Load(); number = next.Add(1) {
				call(int(number))
				if number == 1000 {
					fmt.Println("busy")
				}
			}
		})
	}
	if len(os.Args) > 3 {
		group.Wait()
		return
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	more, err := strconv.Atoi(strings.TrimSpace(line))
	must(err)
	last.Store(next.Load() + int64(more))
	group.Wait()
	fmt.Println("done", last.Load())
}

func main() {
	if os.Args[1] == "server" {
		serve(os.Args[2])
	} else {
		client(os.Args[2])
	}
}
