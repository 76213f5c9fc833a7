// HTTP server: app PORT-OR-UNIX-PATH. The query is that of app.py: sleep=MS, call=HOST:PORT/path, call=unix:SOCKET:/path.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func call(target string) error {
	transport := &http.Transport{DisableKeepAlives: true}
	if rest, unix := strings.CutPrefix(target, "unix:"); unix {
		path, url, _ := strings.Cut(rest, ":")
		transport.Dial = func(_, _ string) (net.Conn, error) { return net.Dial("unix", path) }
		target = "localhost" + url
	}
	response, err := (&http.Client{Transport: transport}).Get("http://" + target)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		ms, _ := strconv.Atoi(query.Get("sleep"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		for _, target := range query["call"] {
			if err := call(target); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	network, address := "tcp", ":"+os.Args[1]
	if strings.HasPrefix(os.Args[1], "/") {
		network, address = "unix", os.Args[1]
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		panic(err)
	}
	fmt.Println("listening")
	panic(http.Serve(listener, nil))
}
