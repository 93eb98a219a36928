// The one who suffers: appends 1 KiB and syncs it, ten times a second, as a kubelet, a runtime or a journal would, and
// writes when each began and how long it took. It refuses to keep its record on the disk that it measures.
//
//   victim FILE RECORD [SECONDS] [INTERVAL_MS]
//
// RECORD gets one line `BEGUN_MS TOOK_US` each (CLOCK_MONOTONIC); a sample that failed is `BEGUN_MS TOOK_US ERRNO`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 3) { fprintf(stderr, "usage: victim FILE RECORD [SECONDS] [INTERVAL_MS]\n"); return 2; }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    double end = now() + (argc > 3 ? atof(argv[3]) : 1e9), interval = (argc > 4 ? atof(argv[4]) : 100) / 1e3;
    int file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int record = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat a, b;
    if (file < 0 || record < 0 || fstat(file, &a) != 0 || fstat(record, &b) != 0) { perror("victim"); return 1; }
    if (a.st_dev == b.st_dev) { fprintf(stderr, "victim: %s lies on the disk that is measured\n", argv[2]); return 2; }
    char kib[1024];
    memset(kib, 'v', sizeof kib);
    for (double next = now(); next < end; next = next + interval > now() ? next + interval : now()) {
        struct timespec t = {(time_t)next, (long)((next - (double)(time_t)next) * 1e9)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
        double begun = now();
        int failed = write(file, kib, sizeof kib) != sizeof kib || fsync(file) != 0 ? errno : 0;
        char line[80];
        int length = snprintf(line, sizeof line, failed ? "%.3f %.0f %d\n" : "%.3f %.0f\n", begun * 1e3, (now() - begun) * 1e6, failed);
        if (write(record, line, (size_t)length) != length) { perror(argv[2]); return 1; }
    }
    return 0;
}
