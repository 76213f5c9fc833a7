"""HTTP server with a thread per connection: app.py PORT-OR-UNIX-PATH

/any/path?sleep=MS&call=HOST:PORT/path&call=unix:SOCKET:/path answers after it has slept and made the calls.
"""
import http.client, http.server, os, socket, socketserver, sys, time
from urllib.parse import parse_qs, urlsplit


def call(target):
    if target.startswith("unix:"):
        _, path, url = target.split(":", 2)
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
    else:
        authority, url = target.split("/", 1)
        connection, url = http.client.HTTPConnection(authority), "/" + url
    connection.request("GET", url)
    connection.getresponse().read()
    connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write
    disable_nagle_algorithm = True

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = parse_qs(urlsplit(self.path).query)
        time.sleep(float(query.get("sleep", ["0"])[0]) / 1000)
        for target in query.get("call", []):
            call(target)
        self.send_response(int(query.get("status", ["200"])[0]))
        self.send_header("Content-Length", "3")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok\n")

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class Tcp(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    request_queue_size = 1024
    daemon_threads = True


Handler.disable_nagle_algorithm = not sys.argv[1].startswith("/")
server = Unix(sys.argv[1], Handler) if sys.argv[1].startswith("/") else Tcp(("0.0.0.0", int(sys.argv[1])), Handler)
print("listening", flush=True)
server.serve_forever()
