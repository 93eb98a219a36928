"""Runs a program system call by system call, and kills it where it is told to.

A kill at an entry comes before the call has done anything, a kill at an exit after it has done all; a kill by the clock comes anywhere,
also inside a call. It refuses to leave the program behind.
"""
import ctypes
import os
import signal

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
LIBC.ptrace.restype = ctypes.c_long
TRACEME, CONT, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
SYSGOOD, TRACEEXIT, EXITKILL = 1, 1 << 6, 1 << 20
ENTRY, EXIT = 1, 2
PATH_ARGUMENT = {"openat": 1, "openat2": 1, "unlinkat": 1, "mkdirat": 1, "renameat": 1, "renameat2": 1, "readlinkat": 1}
WRITING = {"write", "pwrite64", "writev", "fchmod", "fchmodat", "fchown", "fchownat", "fsetxattr", "fsync", "fdatasync", "renameat",
           "renameat2", "unlinkat", "mkdirat", "linkat", "symlinkat", "ftruncate", "fallocate", "utimensat"}
O_CREAT = os.O_CREAT
TEMPORARY = ".node-steward.tmp"


class Info(ctypes.Structure):
    """struct ptrace_syscall_info, entry and exit."""
    _fields_ = [("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64),
                ("sp", ctypes.c_uint64), ("words", ctypes.c_uint64 * 8)]


class Call:
    """One system call: name, the path it names, its first and third argument, and whether it has returned."""

    def __init__(self, name, path, words):
        self.name, self.path, self.fd, self.flags, self.done = name, path, words[1], words[3], None

    @property
    def opens_temporary(self):
        return self.name == "openat" and self.path.endswith(TEMPORARY) and bool(self.flags & O_CREAT)

    @property
    def places(self):
        return self.name in ("renameat", "renameat2")

    @property
    def writes(self):
        """Whether it changes a disk: not the answer on stdout and stderr."""
        if self.name in ("write", "writev"):
            return self.fd > 2
        return self.name in WRITING or (self.name == "openat" and bool(self.flags & O_CREAT))


def ptrace(request, pid, address=0, data=0):
    result = LIBC.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")
    return result


def path_at(pid, address):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(256).split(b"\0")[0].decode(errors="replace")


def start(command):
    pid = os.fork()
    if pid == 0:
        try:
            nowhere = os.open("/dev/null", os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(nowhere, fd)
            ptrace(TRACEME, 0)
            os.execv(command[0], command)
        finally:
            os._exit(127)
    return pid


def trace(command, names, kill_at=None, alarm=None):
    """The calls made, and the exit code (negative: the signal). `kill_at` is (index, ENTRY or EXIT); `alarm` is (index, seconds): a kill
    by the clock that long after the entry of that call."""
    pid = start(command)
    killed = False

    def by_the_clock(*_):
        if not killed:
            kill()

    def kill():
        nonlocal killed
        killed = True
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has ended already, and its end has been waited for.
            pass

    before = signal.signal(signal.SIGALRM, by_the_clock)
    calls, info = [], Info()
    try:
        os.waitpid(pid, 0)
        ptrace(SETOPTIONS, pid, 0, SYSGOOD | EXITKILL)
        deliver = 0
        while True:
            try:
                ptrace(SYSCALL, pid, 0, deliver)
            except ProcessLookupError:
                pass
            _, status = os.waitpid(pid, 0)
            if not os.WIFSTOPPED(status):
                return calls, os.waitstatus_to_exitcode(status)
            stopped = os.WSTOPSIG(status)
            deliver = 0 if stopped in (signal.SIGTRAP | 0x80, signal.SIGTRAP) else stopped
            if stopped != signal.SIGTRAP | 0x80:
                continue
            try:
                ptrace(GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
                if info.op == ENTRY:
                    name = names.get(info.words[0], str(info.words[0]))
                    path = path_at(pid, info.words[1 + PATH_ARGUMENT[name]]) if name in PATH_ARGUMENT else ""
                    calls.append(Call(name, path, info.words))
                elif info.op == EXIT and calls:
                    calls[-1].done = ctypes.c_int64(info.words[0]).value
            except (ProcessLookupError, FileNotFoundError):
                continue
            index = len(calls) - 1
            if alarm and info.op == ENTRY and index == alarm[0]:
                signal.setitimer(signal.ITIMER_REAL, max(alarm[1], 1e-6))
            if kill_at == (index, info.op):
                kill()
    finally:
        killed = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def peak(command):
    """The most memory that the program itself ever held, in KiB: the kernel's count, read at its end. (What wait4 says starts from the
    memory of the process that called it.)"""
    pid, most = start(command), 0
    os.waitpid(pid, 0)
    ptrace(SETOPTIONS, pid, 0, TRACEEXIT | EXITKILL)
    deliver = 0
    while True:
        ptrace(CONT, pid, 0, deliver)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return most
        deliver = 0 if os.WSTOPSIG(status) == signal.SIGTRAP else os.WSTOPSIG(status)
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            most = max([most, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
