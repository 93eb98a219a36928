#!/usr/bin/env python3
"""A TLS relay on loopback between one client and an API server, which counts the requests that act and stops everything at one of them: before it is passed on,
or after the server has done it and before its answer is. It refuses to change a byte, to speak to anybody but that server, and to outlive its standard input.

    relay.py CERTIFICATE KEY CA CLIENT-CERTIFICATE CLIENT-KEY SERVER-PORT DIRECTORY     prints its port

CERTIFICATE and KEY are shown to the client, the others to the server. In DIRECTORY:
    arm       "WORD NUMBER before|after": with each new WORD counting begins anew; what was held until then is let go, unanswered
    stopped   written by the relay: "WORD NUMBER METHOD PATH", once it has stopped
    asked     a line for each request that was counted: "WORD NUMBER METHOD PATH"
Counted is what acts or is read in order to: Nodes by their name, pods, evictions, Events, ConfigMaps. What a watch of the Node itself, its status and questions
about rights ask goes through uncounted; once it has stopped, nothing goes through.
"""
import os
import re
import socket
import ssl
import sys
import threading
import time

from listen import serve_all

certificate, key, authority, client_certificate, client_key, port, directory = sys.argv[1:]
inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
inward.load_cert_chain(certificate, key)
# Whoever has a certificate shows it where it is asked for; what goes on to the server is the relay's own, of the same identity.
inward.load_verify_locations(authority)
inward.verify_mode = ssl.CERT_REQUIRED
outward = ssl.create_default_context(cafile=authority)
outward.load_cert_chain(client_certificate, client_key)

COUNTED = re.compile(
    r"^(GET|PATCH) /api/v1/nodes/[^/?]+(\?|$)"
    r"|^GET /api/v1/pods\?"
    r"|^POST /api/v1/namespaces/[^/]+/pods/[^/]+/eviction"
    r"|^(POST|PATCH) /api/v1/namespaces/[^/]+/events"
    r"|^(GET|PUT|PATCH) /api/v1/namespaces/[^/]+/configmaps/"
)
lock = threading.Lock()
word, number, when, count, held = "", 0, "before", 0, False


def read(name):
    try:
        with open(os.path.join(directory, name)) as file:
            return file.read().split()
    except FileNotFoundError:
        return []


def write(name, text, mode):
    with open(os.path.join(directory, name), mode) as file:
        file.write(text)


def look():
    """Takes up a new word. With the lock held."""
    global word, number, when, count, held
    arm = read("arm")
    if len(arm) == 3 and arm[0] != word:
        word, number, when, count, held = arm[0], int(arm[1]), arm[2], 0, False


def wait(for_word):
    """Until this word is over."""
    while True:
        with lock:
            look()
            if word != for_word:
                return
        time.sleep(0.02)


def stop(request):
    """With the lock held."""
    global held
    held = True
    # In one piece: whoever waits for the file reads it at once.
    write("stopped.new", f"{word} {number} {request}\n", "w")
    os.replace(os.path.join(directory, "stopped.new"), os.path.join(directory, "stopped"))


def whole(stream):
    """One request with its body; empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = stream.recv(65536)
        if not piece:
            return "", b""
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    if re.search(rb"(?im)^transfer-encoding:", head):
        raise OSError("a body in chunks, which no request of ours has")
    while len(body) < int(length.group(1) if length else 0):
        piece = stream.recv(65536)
        if not piece:
            return "", b""
        body += piece
    method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    # One request a connection at the server: its end is the answer's end.
    head = re.sub(rb"(?im)^connection:[^\r]*\r\n", b"", head + b"\r\n") + b"connection: close\r\n\r\n"
    return f"{method} {path}", head + body


def serve(plain):
    global count
    try:
        plain.settimeout(600)
        with inward.wrap_socket(plain, server_side=True) as stream:
            request, data = whole(stream)
            if not request:
                return
            counts = COUNTED.match(request) is not None
            with lock:
                look()
                now, at = word, held
                mine = False
                if counts and not held:
                    count += 1
                    write("asked", f"{word} {count} {request}\n", "a")
                    mine = count == number
                    if mine and when == "before":
                        stop(request)
                        at = True
            if at:
                return wait(now)
            with socket.create_connection(("127.0.0.1", int(port))) as raw, outward.wrap_socket(raw, server_hostname="127.0.0.1") as server:
                server.sendall(data)
                answer = b""
                if mine:
                    while b"\r\n\r\n" not in answer or "watch=" not in request:
                        piece = server.recv(65536)
                        if not piece:
                            break
                        answer += piece
                    with lock:
                        stop(request)
                    return wait(now)
                while True:
                    piece = server.recv(65536)
                    if not piece:
                        return
                    with lock:
                        at = held
                    if at:
                        return wait(now)
                    stream.sendall(piece)
    except (OSError, ValueError):
        pass


serve_all(serve)
