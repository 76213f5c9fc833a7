"""A server of HTTP/2 that answers the nth request with RST_STREAM and the error code n: `PORT`."""

import socket
import sys
import threading

SETTINGS, RST_STREAM, PING, HEADERS = 4, 3, 6, 1
ACK = 1


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def serve(connection):
    stream = connection.makefile("rwb")
    stream.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    stream.write(frame(SETTINGS, 0, 0))
    stream.flush()
    code = 0
    while len(head := stream.read(9)) == 9:
        kind, flags, number = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = stream.read(int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            stream.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == HEADERS:
            stream.write(frame(RST_STREAM, 0, number, code.to_bytes(4, "big")))
            code += 1
        stream.flush()


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
