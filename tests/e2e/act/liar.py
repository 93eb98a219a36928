#!/usr/bin/env python3
"""A TLS server on loopback that answers every request wrongly, in the way that a file names, as a proxy or a load balancer before the API server may.
It refuses to outlive its standard input, and serves nothing but the lies below.

    liar.py CERTIFICATE KEY MODE-FILE     prints its port

Modes: 500, 503, 429 (Retry-After: 7), 302, html, garbage, silent, trickle, huge, half, close, truncated-json, other-shape.
"""
import ssl
import sys
import time

from listen import serve_all

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])


def answer(status, body, headers="", length=None):
    length = len(body) if length is None else length
    return (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n").encode() + body


STATUS = b'{"kind":"Status","status":"Failure","message":"as you like it","code":%d}'
LIES = {
    "500": lambda: answer("500 Internal Server Error", STATUS % 500),
    "503": lambda: answer("503 Service Unavailable", b"no healthy upstream"),
    "429": lambda: answer("429 Too Many Requests", STATUS % 429, "Retry-After: 7\r\n"),
    "302": lambda: answer("302 Found", b"", "Location: https://127.0.0.1:1/\r\n"),
    "html": lambda: answer("200 OK", b"<html><body>Please log in</body></html>"),
    "garbage": lambda: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "half": lambda: answer("200 OK", b'{"gitVersion":"v1', length=100),
    "close": lambda: b"",
    "truncated-json": lambda: answer("200 OK", b'{"gitVersion":"v1'),
    "other-shape": lambda: answer("200 OK", b'["gitVersion"]'),
}


def serve(plain):
    try:
        plain.settimeout(30)
        with context.wrap_socket(plain, server_side=True) as stream:
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = stream.recv(65536)
                    if not piece:
                        return
                    head += piece
                with open(sys.argv[3]) as file:
                    mode = file.read().strip()
                if mode == "silent":
                    time.sleep(20)
                    return
                if mode == "trickle":
                    for byte in answer("200 OK", b'{"gitVersion":"v1.0.0"}'):
                        stream.sendall(bytes([byte]))
                        time.sleep(0.2)
                    return
                if mode == "huge":
                    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                    for _ in range(2000):
                        stream.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                    return
                stream.sendall(LIES[mode]())
                if mode in ("garbage", "half", "close"):
                    return
    except OSError:
        pass


serve_all(serve)
