"""gRPC's own Python: `server PORT SERVICE`, or `client PORT SERVICE WHAT`, which begins at a line of input. WHAT is
`load`, `scan`, `endings`, `answers` or a method of endings.py.

What is called, and what the client writes at its end, is the same for the peers of all languages: see live/grpc.rs.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

import endings

role, port, service = sys.argv[1:4]
CALLS = int(os.environ.get("CALLS", "1000"))


def unary(request, context):
    return request


def status(request, context):
    if request != b"0":
        context.set_code(next(code for code in grpc.StatusCode if code.value[0] == int(request)))
        context.set_details("as asked")
        return None
    return request


def upload(requests, context):
    return b"%d" % sum(1 for _ in requests)


def download(request, context):
    for number in range(int(request)):
        yield b"%d" % number


def chat(requests, context):
    yield from requests


def slow(request, context):
    yield b"first"
    time.sleep(2)
    yield b"last"


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Status": grpc.unary_unary_rpc_method_handler(status),
    "Upload": grpc.stream_unary_rpc_method_handler(upload),
    "Download": grpc.unary_stream_rpc_method_handler(download),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Slow": grpc.unary_stream_rpc_method_handler(slow),
}


def serve():
    server = grpc.server(ThreadPoolExecutor(60))
    handlers = METHODS | endings.methods(server)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


def at_a_time(tasks, count, call):
    with ThreadPoolExecutor(tasks) as pool:
        return list(pool.map(call, range(count)))


def load(channel):
    def path(method):
        return f"/{service}/{method}"

    def number(kind, index):
        return [("number", f"{kind}{index}")]

    unary = channel.unary_unary(path("Unary"))
    upload = channel.stream_unary(path("Upload"))
    download = channel.unary_stream(path("Download"))
    chat = channel.stream_stream(path("Chat"))
    status = channel.unary_unary(path("Status"))
    slow = channel.unary_stream(path("Slow"))

    def talk(index):
        messages = [b"%d" % message for message in range(4)]
        assert list(chat(iter(messages), metadata=number("c", index))) == messages

    def code(index):
        try:
            status(b"%d" % index, metadata=number("s", index))
            return 0
        except grpc.RpcError as error:
            return error.code().value[0]

    at_a_time(50, CALLS, lambda n: unary(b"x" * n, metadata=number("u", n)))
    at_a_time(10, CALLS // 10, lambda n: upload(iter([b"x"] * 5), metadata=number("r", n)))
    at_a_time(10, CALLS // 10, lambda n: list(download(b"7", metadata=number("d", n))))
    at_a_time(10, CALLS // 10, talk)
    assert [code(index) for index in range(17)] == list(range(17))
    start = time.monotonic()
    list(slow(b"", metadata=number("l", 0)))
    print("slow", round((time.monotonic() - start) * 1e6))


def scan(channel):
    def call(index):
        try:
            channel.unary_unary(f"/{service}/Random{index * 7919 % 1000003}")(b"")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED

    at_a_time(10, 10000, call)


if role == "server":
    serve()
else:
    print("ready", flush=True)
    sys.stdin.readline()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        what, caller = sys.argv[4], endings.Client(channel, service)
        if what in ("load", "scan"):
            {"load": load, "scan": scan}[what](channel)
        elif what in ("endings", "answers"):
            getattr(caller, what)()
        else:
            caller.open(what)
    print("done", flush=True)
