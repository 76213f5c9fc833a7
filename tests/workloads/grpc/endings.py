"""Calls that do not end well, or only just. What the client makes of each is written: `ended NUMBER CODE`."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc


def wait(request, context):
    """Answers with what it was sent, unless that is nothing, and no more while the call lasts."""
    over = threading.Event()
    if context.add_callback(over.set):
        if request:
            yield request
        over.wait()


def methods(server):
    """Of a server that they end."""

    def stop(request, context):
        threading.Timer(0.1, lambda: server.stop(None)).start()
        yield from wait(request, context)

    def drain(request, context):
        yield b"first"
        server.stop(5)
        time.sleep(0.3)
        yield b"last"

    handlers = {"Wait": wait, "Stop": stop, "Drain": drain}
    return {name: grpc.unary_stream_rpc_method_handler(handler) for name, handler in handlers.items()}


class Client:
    def __init__(self, channel, service):
        self.channel = channel
        self.service = service

    def call(self, method, number, request, timeout=None, begun=None, answered=None):
        stream = self.channel.unary_stream(f"/{self.service}/{method}")
        call = stream(request, timeout=timeout, metadata=[("number", number)])
        if begun:
            begun(call)
        try:
            for _ in call:
                if answered:
                    answered(call)
        except (grpc.RpcError, grpc.FutureCancelledError):
            pass
        os.write(1, f"ended {number} {call.code().name}\n".encode())

    def endings(self):
        self.call("Status", "w0", b"0")
        text = [b"", b"x"]

        def deadline(n):
            self.call("Wait", f"d{n}", text[n % 2], timeout=0.02 + 0.01 * n)

        def cancel(n):
            self.call("Wait", f"c{n}", b"x", timeout=[None, 10][n % 2], answered=lambda call: call.cancel())

        def nearly(n):
            begun = lambda call: threading.Timer((190 - n) / 1000, call.cancel).start()
            self.call("Wait", f"n{n}", text[n % 2], timeout=0.2, begun=begun)

        with ThreadPoolExecutor(20) as pool:
            calls = [(deadline, 50), (cancel, 20), (nearly, 30)]
            list(pool.map(lambda it: it[0](it[1]), [(what, n) for what, count in calls for n in range(count)]))

    def answers(self):
        """One call after the other, as often as whoever answers has a way to."""
        for n in range(16):
            self.call("Status", f"a{n}", b"0")

    def open(self, method):
        """One call, of a method that ends its server or waits for that."""
        self.call(method, "o0", b"x", answered=lambda _: os.write(1, b"open\n"))
