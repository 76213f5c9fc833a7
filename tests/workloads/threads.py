"""Threads that share one connection: each sends whole requests, at any time, and one reads the answers."""

import socket
import sys
import threading

(host, port), token, threads, each = sys.argv[1].split(":"), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
early = sys.argv[5] == "early"
connection = socket.create_connection((host, int(port))) if early else None
print("ready", flush=True)
sys.stdin.readline()
connection = connection or socket.create_connection((host, int(port)))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def send(thread):
    for number in range(thread * each, (thread + 1) * each):
        connection.sendall(f"GET /{token}/{number} HTTP/1.1\r\nHost: test\r\n\r\n".encode())


def receive():
    answers, rest = 0, b""
    while answers < threads * each:
        rest += connection.recv(65536)
        parts = rest.split(b"HTTP/1.1 200 OK")
        answers += len(parts) - 1
        rest = parts[-1][-len("HTTP/1.1 200 OK") :]


reader = threading.Thread(target=receive)
reader.start()
senders = [threading.Thread(target=send, args=(thread,)) for thread in range(threads)]
for sender in senders:
    sender.start()
for sender in senders:
    sender.join()
reader.join()
print("done", flush=True)
