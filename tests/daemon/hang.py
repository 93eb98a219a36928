# A file system that never answers: mounted by FUSE's own protocol, whose requests nobody reads. It refuses to outlive its parent, and lets everybody
# go who waits for it when it ends.
#
#   hang.py DIRECTORY     prints "mounted"; ends with its parent or by a signal, and takes the mount away
import ctypes
import os
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, MNT_DETACH = 1, 2

signals = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
directory = sys.argv[1].encode()
libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"never", directory, b"fuse", 0, options) != 0:
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
print("mounted", flush=True)
signal.sigwait(signals)
# With the last descriptor the kernel answers all who wait, with an error.
os.close(device)
libc.umount2(directory, MNT_DETACH)
