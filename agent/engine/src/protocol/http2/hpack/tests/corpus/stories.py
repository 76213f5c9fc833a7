#!/usr/bin/env python3
"""Writes stories.txt: lists of fields for the encoders to encode. The same each time.

S name      a new connection
T size      the receiver's SETTINGS_HEADER_TABLE_SIZE is acknowledged
F name value  (hex)
N name value  the same, never to be indexed
B           end of a header block
"""
import random

r = random.Random(7541)
out = []


def story(name):
    out.append(f"S {name}")


def block(fields):
    for name, value, *kind in fields:
        name, value = (t.encode() if isinstance(t, str) else t for t in (name, value))
        out.append(f"{kind[0] if kind else 'F'} {name.hex()} {value.hex()}".rstrip())
    out.append("B")


def token(n, letters="abcdefghijklmnopqrstuvwxyz0123456789"):
    return "".join(r.choice(letters) for _ in range(n))


agents = ["curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "k6/0.49"]

story("requests")
for i in range(60):
    fields = [
        (":method", r.choice(["GET", "GET", "GET", "POST", "PUT", "DELETE"])),
        (":scheme", "http"),
        (":authority", r.choice(["shop.example", "api.shop.example:8080"])),
        (":path", r.choice(["/", f"/items/{r.randrange(40)}", f"/search?q={token(6)}&page={r.randrange(9)}"])),
        ("user-agent", agents[i // 30]),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, deflate"),
    ]
    if r.random() < 0.4:
        fields.append(("cookie", f"session={token(24)}"))
    if r.random() < 0.5:
        fields.append(("traceparent", f"00-{token(32, '0123456789abcdef')}-{token(16, '0123456789abcdef')}-01"))
    if r.random() < 0.2:
        fields.append(("x-request-id", token(12)))
    if r.random() < 0.1:
        fields.append(("x-empty", ""))
    block(fields)

story("grpc")
for i in range(40):
    block([
        (":method", "POST"), (":scheme", "http"), (":path", f"/shop.v1.Cart/{r.choice(['Add', 'Remove', 'List', 'Watch'])}"),
        (":authority", "cart:50051"), ("content-type", "application/grpc"), ("te", "trailers"),
        ("grpc-timeout", f"{r.randrange(1, 99999)}u"), ("user-agent", "grpc-go/1.64.0"),
        ("baggage", f"user={token(8)}"),
    ])

story("responses")
for i in range(40):
    block([
        (":status", r.choice(["200", "200", "204", "404", "503", "302"])),
        ("date", f"Mon, 21 Oct 2013 20:13:{r.randrange(60):02} GMT"),
        ("server", "nginx/1.22.1"),
        ("content-type", r.choice(["text/html", "application/json", "application/grpc"])),
        ("content-length", str(r.randrange(100000))),
        ("set-cookie", f"id={token(30)}; path=/; HttpOnly"),
    ])
    block([("grpc-status", str(r.randrange(17))), ("grpc-message", r.choice(["", "not found", "a%20b"]))])

story("turnover")
for i in range(100):
    if i in (20, 35, 50, 60, 61, 90):
        out.append(f"T {[256, 100, 0, 65536, 1024, 4096][[20, 35, 50, 60, 61, 90].index(i)]}")
    block([(r.choice(["a", "name", "x-longer-name", f"x-{token(5)}"]), token(r.randrange(30))) for _ in range(r.randrange(1, 5))])

story("bytes")
everything = bytes(range(256))
for i in range(8):
    block([("b", everything[i * 32:i * 32 + 32]), ("c", bytes(r.randrange(256) for _ in range(20)))])
block([("d", everything + everything[::-1])])
for length in (10, 4063, 11, 4064, 12, 127, 128):
    block([("e", "e" * length), ("f", f"f{length}")])

story("random")
names = [":path", ":authority", ":status", "cookie", "authorization", "accept", "te", "x-a", "x-b", "x-longer-name"]


def field():
    name = r.choice(names) if r.random() < 0.9 else f"x-{token(r.randrange(1, 40))}"
    value = r.choice([
        lambda: token(1, "abc"),
        lambda: token(r.randrange(60)),
        lambda: bytes(r.randrange(256) for _ in range(r.randrange(20))),
        lambda: r.choice(["/", "200", "trailers", "gzip, deflate", "Bearer " + token(40)]),
        lambda: token(1, "xyz") * r.choice([100, 127, 128, 300]),
    ])()
    return name, value, "N" if name in ("authorization", "cookie") and r.random() < 0.5 else "F"


for i in range(150):
    if r.random() < 0.05:
        out.append(f"T {r.choice([0, 64, 200, 1000, 4096, 16384])}")
    block([field() for _ in range(r.randrange(1, 9))])

print("\n".join(out))
