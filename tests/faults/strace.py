"""What strace says of one run: the numbers of the system calls, and the order in which files are written.

It refuses any file that is opened for writing under its own name, and any rename before the content is on disk.
"""
import re
import subprocess

LINE = re.compile(r"^(?:(\d+)\s+)?(?:(\d+\.\d+) )?\[\s*(\d+)\] (\w+)\((.*)\)\s+= (-?\d+|\?)")


def log(command):
    """Each call as (name, arguments, result, number, time)."""
    done = subprocess.run(["strace", "-f", "-n", "-ttt", "-s", "300", "-o", "/dev/fd/2", *command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    calls = []
    for line in done.stderr.splitlines():
        match = LINE.match(line)
        if match:
            _, time, number, name, arguments, result = match.groups()
            calls.append((name, arguments, int(result) if result != "?" else 0, int(number), float(time)))
    return calls


def numbers(commands):
    """System call numbers and their names on this machine."""
    return {number: name for command in commands for name, _, _, number, _ in log(command)}


def order_faults(calls, expected):
    """What is wrong with the order write, fsync, rename, fsync of the directory; `expected` are the names that must be renamed to."""
    faults, open_temporaries, last_write, synced, renamed, owed = [], {}, {}, {}, [], {}
    for index, (name, arguments, result, _, _) in enumerate(calls):
        if name == "openat" and result >= 0 and re.search(r"O_WRONLY|O_RDWR", arguments):
            path = arguments.split('"')[1]
            if path.endswith(".node-steward.tmp") and "O_EXCL" in arguments:
                open_temporaries[path] = result
                last_write[path] = synced[path] = -1
            elif not path.endswith("bootstrap.lock"):
                faults.append(f"opened for writing under its own name: {path}")
        elif name in ("write", "fchmod", "fchown", "fsetxattr", "fsync"):
            fd = int(re.match(r"\d+", arguments).group())
            for path, opened in open_temporaries.items():
                if opened == fd:
                    (synced if name == "fsync" else last_write)[path] = index
            if name == "fsync" and fd in owed:
                del owed[fd]
        elif name == "close":
            for path in [path for path, fd in open_temporaries.items() if fd == int(arguments)]:
                open_temporaries[path] = -1
        elif name.startswith("renameat") and result == 0:
            directory, old, new = int(arguments.split(",")[0]), *arguments.split('"')[1::2]
            if not old.endswith(".node-steward.tmp") or old not in synced:
                faults.append(f"renamed something else: {old}")
            elif not last_write[old] < synced[old] or last_write[old] < 0:
                faults.append(f"{new}: renamed without fsync after the last write")
            renamed.append(new)
            owed[directory] = new
    faults += [f"{name}: its directory was not synced after the rename" for name in owed.values()]
    if sorted(set(renamed)) != sorted(expected):
        faults.append(f"renamed {renamed}, expected {sorted(expected)}")
    return faults
