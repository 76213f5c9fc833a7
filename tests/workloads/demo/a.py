"""Service A, Python, a thread per connection: a.py PORT PORT_OF_B PORT_OF_E"""
import http.client, http.server, sys

PORT, B, E = map(int, sys.argv[1:])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        b = http.client.HTTPConnection("127.0.0.1", B)
        b.request("GET", "/stock")  # B works while E is asked
        e = http.client.HTTPConnection("127.0.0.1", E)
        e.request("GET", "/prices")
        body = e.getresponse().read() + b.getresponse().read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
print("listening", flush=True)
server.serve_forever()
