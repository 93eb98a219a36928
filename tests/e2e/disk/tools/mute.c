// A FUSE file system that never answers: it mounts, says who it is, and from then on reads nothing. Ending it ends the mount's life.
// It refuses every question, by silence.
//
//   mute MOUNTPOINT      prints `mounted` when the silence begins
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "usage: mute MOUNTPOINT\n"); return 2; }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    char options[96];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
    if (device < 0 || mount("mute", argv[1], "fuse.mute", MS_NOSUID | MS_NODEV, options) != 0) { perror(argv[1]); return 1; }
    static char question[FUSE_MIN_READ_BUFFER + 65536];
    if (read(device, question, sizeof question) < (ssize_t)sizeof(struct fuse_in_header)) { perror("/dev/fuse"); return 1; }
    struct fuse_in_header *asked = (struct fuse_in_header *)question;
    struct { struct fuse_out_header header; struct fuse_init_out init; } reply = {
        .header = {.len = sizeof reply, .unique = asked->unique},
        .init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096, .max_background = 8}};
    if (asked->opcode != FUSE_INIT || write(device, &reply, sizeof reply) != sizeof reply) { perror("init"); return 1; }
    puts("mounted");
    fflush(stdout);
    for (;;) pause();
}
