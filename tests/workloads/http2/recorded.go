// net/http: `server PORT`, or `client PORT`, which begins at a line of input and asks the same as recorded.js.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	must(err)
	switch r.URL.Path {
	case "/early":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	case "/trailers":
		w.Header().Set("Trailer", "Checksum")
		defer w.Header().Set("Checksum", "1")
	case "/missing":
		w.WriteHeader(http.StatusNotFound)
	}
	fmt.Fprintf(w, "%d bytes", len(body))
}

func ask(client *http.Client, method, path, body string) int {
	request, err := http.NewRequest(method, "http://127.0.0.1:"+os.Args[2]+path, strings.NewReader(body))
	must(err)
	response, err := client.Do(request)
	must(err)
	_, err = io.Copy(io.Discard, response.Body)
	must(err)
	must(response.Body.Close())
	return response.StatusCode
}

func call(client *http.Client) {
	ask(client, "GET", "/first", "")
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() { ask(client, "GET", fmt.Sprintf("/item/%d?n=%d", n, n), "") })
	}
	group.Wait()
	ask(client, "POST", "/upload", strings.Repeat("x", 3000))
	ask(client, "HEAD", "/head", "")
	ask(client, "GET", "/early", "")
	ask(client, "GET", "/trailers", "")
	if status := ask(client, "GET", "/missing", ""); status != 404 {
		panic(status)
	}
	client.CloseIdleConnections()
}

func main() {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	if os.Args[1] == "server" {
		server := http.Server{Handler: http.HandlerFunc(handle), Protocols: &protocols}
		listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[2])
		must(err)
		fmt.Println("listening")
		must(server.Serve(listener))
		return
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	call(&http.Client{Transport: &http.Transport{Protocols: &protocols}})
	fmt.Println("done")
}
