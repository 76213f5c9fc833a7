"""A server and its client in one process, which exchange secrets in every place where secrets are sent.

Arguments: a file of secrets (JSON), the first part of every path, and more that nobody reads. The variable HTTP2_PORT
says where a server of HTTP/2 is.
"""

import json
import os
import socket
import subprocess
import sys
import threading

with open(sys.argv[1]) as file:
    SECRETS = json.load(file)
PATH = "/" + sys.argv[2]


def message(stream):
    """A message with its body."""
    head = b""
    while True:
        line = stream.readline()
        head += line
        if line in (b"\r\n", b""):
            break
    length, chunked = 0, False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        chunked |= line == b"transfer-encoding: chunked"
    if not chunked:
        return head + stream.read(length)
    while True:
        size = int(stream.readline(), 16)
        stream.read(size)
        if size == 0:
            while stream.readline() not in (b"\r\n", b""):
                pass
            return head
        stream.readline()


def serve(listener):
    for _ in range(2):
        connection, _ = listener.accept()
        answer(connection, connection.makefile("rb"))


def answer(connection, stream):
    body = ('{"token": "%s"}' % SECRETS["response_body"]).encode()
    while message(stream):
        connection.sendall(
            b"HTTP/1.1 200 OK\r\n"
            + ("Set-Cookie: id=%s; Path=/\r\n" % SECRETS["set_cookie"]).encode()
            + ("Location: http://h/?a=b&sig=%s\r\n" % SECRETS["location"]).encode()
            + ("Link: <http://h/?a=b>; rel=next, <http://h/?sig=%s>\r\n" % SECRETS["link"]).encode()
            + b"Content-Length: %d\r\n\r\n" % len(body)
            + body
        )


def http2(secrets):
    """A request by curl. What is behind the secrets keeps HPACK from writing them in Huffman's code."""
    long = "~" * 80
    fields = {
        "authorization": "Bearer " + secrets["http2_bearer"] + long,
        "cookie": "id=" + secrets["http2_cookie"] + long,
        "x-api-key": secrets["http2_api_key"] + long,
        "referer": "http://u:%s@h/?sig=%s%s" % (secrets["http2_referer"], secrets["http2_referer_query"], long),
        "user-agent": "bot (+http://u:%s%s@h/)" % (secrets["http2_agent"], long),
    }
    port = os.environ["HTTP2_PORT"]
    url = "http://127.0.0.1:%s%s/http2?a=b&sig=%s%s" % (port, PATH, secrets["http2_query"], long)
    command = ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", "-o", "/dev/null"]
    for field in fields.items():
        command += ["-H", "%s: %s" % field]
    subprocess.run([*command, url], check=True)


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    connection = socket.create_connection(("127.0.0.1", port))
    stream = connection.makefile("rb")

    def request(method, target, fields=(), body=b"", cut=None):
        head = "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (method, target, port)
        head += "".join("%s: %s\r\n" % field for field in fields)
        sent = head.encode() + b"\r\n" + body
        at = sent.index(cut.encode()) - 3 if cut else len(sent)
        for part in (sent[:at], sent[at:]):
            if part:
                connection.sendall(part)
        assert message(stream).startswith(b"HTTP/1.1 200")

    names = {
        "Proxy-Authorization": "proxy_authorization",
        "Cookie": "cookie",
        "X-Api-Key": "api_key",
        "X-Auth-Token": "auth_token",
        "X-CSRF-Token": "csrf_token",
        "X-Vault-Token": "vault_token",
        "X-Amz-Security-Token": "amz_token",
    }
    fields = [(name, "a=" + SECRETS[key]) for name, key in names.items()]
    fields.append(("Referer", "http://u:%s@h/?b=c&sig=%s" % (SECRETS["referer"], SECRETS["referer_query"])))
    request("GET", PATH + "/bearer", [("Authorization", "Bearer " + SECRETS["bearer"]), *fields])
    request("GET", PATH + "/basic", [("Authorization", "Basic " + SECRETS["basic"])], cut=SECRETS["basic"])
    keys = [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
    ]
    query = "&".join("%s=%s" % (key, SECRETS["query_" + key.lower()]) for key in keys)
    request("GET", PATH + "/query?a=b&" + query)
    request("GET", "http://user:%s@127.0.0.1:%d%s/absolute" % (SECRETS["url"], port, PATH))
    url = "http://u:%s@h/"
    agent = "bot (+http://u:%s@h/?a=b&sig=%s)" % (SECRETS["agent"], SECRETS["agent_query"])
    first = "http://h/?a=b, http://u:a,%s@h/?sig=a,%s" % (SECRETS["listed"], SECRETS["listed_query"])
    target = "%s/urls/%s?a=%s&b=%s&c=http%%3A%%2F%%2Fu%%3A%s%%40h%%2F" % (
        PATH,
        url % ("a;" + SECRETS["url_in_path"]),
        url % ("a&" + SECRETS["url_in_query"]),
        url % ("a," + SECRETS["second_url_in_query"]),
        SECRETS["encoded_url"],
    )
    request("GET", target, [("User-Agent", agent), ("X-First", first)])
    body = ("password=" + SECRETS["request_body"]).encode()
    request("POST", PATH + "/body", [("Content-Length", str(len(body)))], body)
    chunk = SECRETS["chunk"].encode()
    trailer = ("X-Token: " + SECRETS["trailer"]).encode()
    body = b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(chunk), chunk, trailer)
    request("POST", PATH + "/chunked", [("Transfer-Encoding", "chunked")], body)
    http2(SECRETS)
    connection.shutdown(socket.SHUT_WR)
    # A client whose program is an argument, which ends like the path of a script. The body ends with a brace.
    code = """
        exec 3<>/dev/tcp/127.0.0.1/%d
        printf 'GET %s/code HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n' >&3
        read -r -d '}' answer <&3
        : http://u:p@h/?k=%s""" % (port, PATH, SECRETS["code"])
    subprocess.run(["bash", "-euc", code], check=True)
    server.join()


main()
