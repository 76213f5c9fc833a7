"""Sends a request, reads the answer in a way that no system call's tracepoint tells of (aio), and closes."""

import ctypes
import socket
import struct
import sys

IOCB_CMD_PREAD = 0
IO_SETUP, IO_SUBMIT, IO_GETEVENTS = (206, 209, 208) if sys.argv[3] == "x86_64" else (0, 2, 4)

(host, port), token = sys.argv[1].split(":"), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
sys.stdin.readline()
connection = socket.create_connection((host, int(port)))
connection.sendall(f"GET /{token} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
connection.recv(1, socket.MSG_PEEK)
context = ctypes.c_ulong(0)
assert libc.syscall(IO_SETUP, 1, ctypes.byref(context)) == 0, ctypes.get_errno()
answer = ctypes.create_string_buffer(4096)
# struct iocb: data, key, flags, operation, priority, descriptor, buffer, length, offset, and room (linux/aio_abi.h).
control = ctypes.create_string_buffer(
    struct.pack(
        "=QIiHhIQQq16x",
        0,
        0,
        0,
        IOCB_CMD_PREAD,
        0,
        connection.fileno(),
        ctypes.addressof(answer),
        len(answer),
        0,
    )
)
controls = (ctypes.c_void_p * 1)(ctypes.addressof(control))
assert libc.syscall(IO_SUBMIT, context, 1, controls) == 1, ctypes.get_errno()
event = ctypes.create_string_buffer(32)
assert libc.syscall(IO_GETEVENTS, context, 1, 1, event, None) == 1, ctypes.get_errno()
assert answer.raw.startswith(b"HTTP/1.1 200 OK"), answer.raw[:80]
connection.close()
print("done", flush=True)
