"""The listening end of the servers that stand between a client and its API server here: a port on loopback, a thread for each connection.
It refuses to listen anywhere else, and to outlive its standard input.
"""
import socket
import sys
import threading


def serve_all(serve):
    """Prints its port; `serve` is given each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
