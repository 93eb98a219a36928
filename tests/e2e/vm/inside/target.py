"""An NVMe controller of its own kind: speaks NVMe over TCP on the loopback address to the kernel's own driver, calls itself what it is told to, and answers
Amazon's log page 0xD0 with counters that grow as a file says. Names and layouts: NVMe base specification 1.4, NVMe/TCP transport; the page as ebsnvme reads it.
It refuses anybody but the loopback network, and keeps nothing: its disk is memory.

    target.py PORT MODEL SERIAL MAGIC FILE    FILE holds four parts of 1000 (how much of the time each limit is exceeded) and the ms that each read takes
"""

import hashlib
import socket
import struct
import sys
import threading
import time

PORT, MODEL, SERIAL, MAGIC, FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4], 0), sys.argv[5]
BLOCK, BLOCKS = 512, 32 * 2048
IN_CAPSULE = 8192
disk = bytearray(BLOCK * BLOCKS)
EDGES_US = [0, 250, 1000, 4000, 16000, 64000, 256000, 1024000]


class Counters:
    """What the page tells; everything only grows."""

    def __init__(self):
        self.lock, self.at = threading.Lock(), time.monotonic()
        self.exceeded_us, self.reads, self.read_us, self.bins = [0, 0, 0, 0], 0, 0, [0] * len(EDGES_US)

    def page(self):
        with self.lock:
            now = time.monotonic()
            passed_us, self.at = int((now - self.at) * 1e6), now
            *parts, slow_ms = (int(word) for word in open(FILE, encoding="ascii").read().split())
            for index, part in enumerate(parts):
                self.exceeded_us[index] += passed_us * part // 1000
            # A hundred reads a second, as long as the file says.
            reads = passed_us // 10000
            self.reads += reads
            self.read_us += reads * slow_ms * 1000
            self.bins[max(i for i, edge in enumerate(EDGES_US) if edge <= slow_ms * 1000)] += reads
            page = bytearray(4096)
            struct.pack_into("<IIQQQQQQ", page, 0, MAGIC, 0, self.reads, 0, self.reads * 4096, 0, self.read_us, 0)
            struct.pack_into("<QQQQQ", page, 56, *self.exceeded_us, 3)
            for at, bins in ((512, self.bins), (2056, [0] * len(EDGES_US))):
                struct.pack_into("<Q", page, at, len(EDGES_US))
                for index, count in enumerate(bins):
                    upper = EDGES_US[index + 1] if index + 1 < len(EDGES_US) else 1 << 40
                    struct.pack_into("<QQII", page, at + 8 + index * 24, EDGES_US[index], upper, count, 0)
            return bytes(page)


counters = Counters()


def identify_controller():
    data = bytearray(4096)
    struct.pack_into("<HH20s40s8s", data, 0, 0x1D0F, 0x1D0F, SERIAL.ljust(20).encode(), MODEL.ljust(40).encode(), b"1.0     ")
    data[77], data[111] = 5, 1  # The most in one command: 2^5 pages. It has a disk.
    struct.pack_into("<HI", data, 78, 1, 0x00010400)
    data[258], data[259], data[261], data[262] = 3, 3, 4, 0  # Log pages of more than 4 KiB are known.
    struct.pack_into("<H", data, 320, 10)  # Keep alive, in 100 ms.
    data[512], data[513] = 0x66, 0x44
    struct.pack_into("<HI", data, 514, 64, 1)
    struct.pack_into("<I", data, 536, 1 << 20 | 1)  # SGLs, and offsets in a capsule.
    struct.pack_into("<256s", data, 768, SUBSYSTEM)
    struct.pack_into("<IIHBB", data, 1792, (64 + IN_CAPSULE) // 16, 1, 0, 0, 1)
    return bytes(data)


def identify_namespace():
    data = bytearray(4096)
    struct.pack_into("<QQQ", data, 0, BLOCKS, BLOCKS, BLOCKS)
    data[104:120] = IDENTITY
    struct.pack_into("<I", data, 128, 9 << 16)
    return bytes(data)


SUBSYSTEM = b"nqn.2014-08.org.nvmexpress:" + SERIAL.encode()
IDENTITY = hashlib.md5(SERIAL.encode()).digest()


class Controller:
    """Registers that the fabric has in place of a PCI device's."""

    def __init__(self):
        self.cc = 0

    def get(self, offset):
        ready = self.cc & 1
        shutdown = 0x8 if self.cc >> 14 & 3 else 0
        return {0x0: 127 | 1 << 16 | 15 << 24 | 1 << 37, 0x8: 0x00010400, 0x14: self.cc, 0x1C: ready | shutdown}.get(offset, 0)


controller = Controller()


def exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return bytes(data)


class Queue:
    def __init__(self, connection):
        self.connection, self.id, self.head = connection, 0, 0

    def pdu(self):
        kind, flags, header, offset, length = struct.unpack("<BBBBI", exactly(self.connection, 8))
        rest = exactly(self.connection, length - 8)
        return kind, rest[: header - 8], rest[offset - 8 :] if offset else b""

    def data(self, command, data):
        head = struct.pack("<BBBBIHHIII", 7, 0x4, 24, 24, 24 + len(data), command, 0, 0, len(data), 0)
        self.connection.sendall(head + data)

    def done(self, command, status=0, result=0):
        self.head = (self.head + 1) % 128
        self.connection.sendall(struct.pack("<BBBBIQHHHH", 5, 0, 24, 0, 24, result, self.head, self.id, command, status << 1))

    def wanted(self, command, length):
        """Data of a write that did not fit into its capsule."""
        self.connection.sendall(struct.pack("<BBBBIHHIII", 9, 0, 24, 0, 24, command, 1, 0, length, 0))
        data = b""
        while len(data) < length:
            kind, _, more = self.pdu()
            if kind != 6:
                raise ConnectionError(f"PDU {kind} in place of data")
            data += more
        return data

    def serve(self):
        kind, _, _ = self.pdu()
        if kind != 0:
            return
        self.connection.sendall(struct.pack("<BBBBIHBBI", 1, 0, 128, 0, 128, 0, 0, 0, 128 << 10).ljust(128, b"\0"))
        while True:
            kind, header, data = self.pdu()
            if kind != 4:
                return
            self.command(header[:64], data)

    def command(self, sqe, data):
        opcode, command = sqe[0], struct.unpack_from("<H", sqe, 2)[0]
        ten, eleven, twelve = struct.unpack_from("<III", sqe, 40)
        if opcode == 0x7F:
            return self.fabrics(sqe, command)
        if self.id:
            return self.disk(opcode, command, sqe, data)
        if opcode == 0x06:
            made = {0: identify_namespace, 1: identify_controller, 2: lambda: struct.pack("<I", 1).ljust(4096, b"\0")}.get(ten & 0xFF)
            if ten & 0xFF == 3:
                made = lambda: (bytes([2, 16, 0, 0]) + IDENTITY).ljust(4096, b"\0")
            if not made:
                return self.done(command, 0x4002)
            self.data(command, made())
            return self.done(command)
        if opcode == 0x02:
            length = ((ten >> 16 | (eleven & 0xFFFF) << 16) + 1) * 4
            page = {0x02: lambda: bytes(512), 0xD0: counters.page}.get(ten & 0xFF)
            if not page or twelve:
                return self.done(command, 0x4002)
            self.data(command, page().ljust(length, b"\0")[:length])
            return self.done(command)
        if opcode == 0x09:
            return self.done(command)  # Of queues, one of each kind.
        if opcode == 0x0C:
            return None  # Nothing ever happens that the host asked to be told.
        return self.done(command, 0 if opcode in (0x0A, 0x18) else 0x4001)

    def fabrics(self, sqe, command):
        kind = sqe[4]
        if kind == 1:
            self.id = struct.unpack_from("<H", sqe, 42)[0]
            return self.done(command, 0, 1)
        offset = struct.unpack_from("<I", sqe, 44)[0]
        if kind == 0:
            if offset == 0x14:
                controller.cc = struct.unpack_from("<Q", sqe, 48)[0] & 0xFFFFFFFF
            return self.done(command)
        return self.done(command, 0, controller.get(offset)) if kind == 4 else self.done(command, 0x4001)

    def disk(self, opcode, command, sqe, data):
        at, count = struct.unpack_from("<QH", sqe, 40)
        begin, end = at * BLOCK, (at + count + 1) * BLOCK
        if opcode == 0x02:
            self.data(command, bytes(disk[begin:end]))
        elif opcode == 0x01:
            disk[begin:end] = data or self.wanted(command, end - begin)
        elif opcode != 0x00:
            return self.done(command, 0x4001)
        return self.done(command)


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        Queue(connection).serve()
    except (ConnectionError, OSError):
        pass
    finally:
        connection.close()


listener = socket.create_server(("127.0.0.1", PORT))
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
