"""HTTP server with a thread per connection and OpenTelemetry's SDK: sdk.py PORT

/any/path?call=HOST:PORT/path answers after it has made the calls. Requests and calls have spans by the SDK, which
sends them to OTEL_EXPORTER_OTLP_ENDPOINT.
"""
import http.client, http.server, sys
from urllib.parse import parse_qs, urlsplit

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=200))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("sdk.py")


def call(target):
    authority, path = target.split("/", 1)
    attributes = {"http.request.method": "GET", "url.full": f"http://{target}"}
    with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=attributes):
        headers = {}
        propagate.inject(headers)
        connection = http.client.HTTPConnection(authority)
        connection.request("GET", "/" + path, headers=headers)
        connection.getresponse().read()
        connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        attributes = {"http.request.method": "GET", "url.path": url.path}
        context = propagate.extract(self.headers)
        with tracer.start_as_current_span("GET", context=context, kind=SpanKind.SERVER, attributes=attributes):
            for target in parse_qs(url.query).get("call", []):
                call(target)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening", flush=True)
server.serve_forever()
