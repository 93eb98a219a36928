// Load on one file: so many threads, so large, so fast, direct or buffered, synced or not; and a burden on the processors.
// It refuses to read holes: the file is written whole before the clock starts (`fill=1` does only that).
//
//   load path=FILE [size=MIB] [bs=BYTES] [threads=N] [reads=PERCENT] [direct=0|1] [fsync=0|1] [seq=0|1]
//        [rate=OPS_PER_S] [seconds=S] [burn=THREADS] [seed=N] [fill=1]
//
// rate=0 is as fast as it goes; otherwise all threads together keep that rate, and a backlog over one second is dropped.
// The last line is: ops N per_s X mean_ms X max_ms X errors N
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static double size_mib = 192, block = 4096, threads = 1, reads, direct, sync_each, sequential, rate, seconds = 10, burn, seed = 1, fill;
static const struct { const char *key; double *value; } keys[] = {
    {"size", &size_mib}, {"bs", &block}, {"threads", &threads}, {"reads", &reads}, {"direct", &direct}, {"fsync", &sync_each},
    {"seq", &sequential}, {"rate", &rate}, {"seconds", &seconds}, {"burn", &burn}, {"seed", &seed}, {"fill", &fill}};
static volatile int stop;
struct worker { pthread_t thread; unsigned number; unsigned long ops, errors; double sum, most; };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(double until) {
    struct timespec t = {(time_t)until, (long)((until - (double)(time_t)until) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR && !stop) continue;
}

static unsigned long draw(unsigned long *state) { // splitmix64
    unsigned long z = *state += 0x9E3779B97F4A7C15UL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9UL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBUL;
    return z ^ z >> 31;
}

static void *work(void *argument) {
    struct worker *me = argument;
    unsigned long state = (unsigned long)seed * 1000003 + me->number, bytes = (unsigned long)block;
    unsigned long blocks = (unsigned long)(size_mib * 1048576) / bytes, at = blocks / (unsigned long)threads * me->number;
    void *buffer;
    int fd = open(path, O_RDWR | O_CLOEXEC | (direct > 0 ? O_DIRECT : 0));
    if (fd < 0 || posix_memalign(&buffer, 4096, bytes) != 0) { perror(path); exit(1); }
    memset(buffer, (int)me->number + 1, bytes);
    double step = rate > 0 ? threads / rate : 0, next = now() + step * me->number / threads;
    while (!stop) {
        if (step > 0) {
            if (now() - next > 1) next = now();
            rest(next);
            next += step;
            if (stop) break;
        }
        at = sequential > 0 ? (at + 1) % blocks : draw(&state) % blocks;
        int reading = (double)(draw(&state) % 100) < reads;
        double begun = now();
        ssize_t done = reading ? pread(fd, buffer, bytes, (off_t)(at * bytes)) : pwrite(fd, buffer, bytes, (off_t)(at * bytes));
        if (done >= 0 && sync_each > 0 && !reading && fdatasync(fd) != 0) done = -1;
        double took = now() - begun;
        if (done < 0) { me->errors++; rest(now() + 0.05); continue; }
        me->ops++;
        me->sum += took;
        if (took > me->most) me->most = took;
    }
    return NULL;
}

static void *spin(void *unused) {
    (void)unused;
    volatile unsigned long x = 1;
    while (!stop) for (int i = 0; i < 100000; i++) x = x * 6364136223846793005UL + 1;
    return NULL;
}

// Direct and in large blocks: filling leaves nothing dirty behind that the measured time would have to pay for.
static int fill_file(void) {
    struct stat s;
    off_t whole = (off_t)(size_mib * 1048576), at = 0;
    if (stat(path, &s) == 0 && s.st_size >= whole && s.st_blocks * 512 >= whole) return 0;
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    void *buffer;
    if (fd < 0 || posix_memalign(&buffer, 4096, 1048576) != 0) return -1;
    memset(buffer, 0x5a, 1048576);
    for (; at < whole; at += 1048576) if (pwrite(fd, buffer, 1048576, at) != 1048576) return -1;
    return fsync(fd) | close(fd);
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t k = 0, length = value ? (size_t)(value - argv[i]) : 0;
        if (value && strncmp(argv[i], "path", length) == 0 && length == 4) { path = value + 1; continue; }
        while (k < sizeof keys / sizeof *keys && (strlen(keys[k].key) != length || strncmp(keys[k].key, argv[i], length) != 0)) k++;
        if (!value || k == sizeof keys / sizeof *keys) { fprintf(stderr, "load: what is %s?\n", argv[i]); return 2; }
        *keys[k].value = atof(value + 1);
    }
    if (!path || block < 512 || threads < 0 || threads > 512) { fprintf(stderr, "load: path=, bs= and threads= do not fit\n"); return 2; }
    if (threads > 0 && fill_file() != 0) { perror(path); return 1; }
    if (fill > 0) return 0;
    size_t n = (size_t)threads, burners = (size_t)burn;
    struct worker *workers = calloc(n + 1, sizeof *workers);
    pthread_t *spinners = calloc(burners + 1, sizeof *spinners);
    if (!workers || !spinners) return 1;
    for (size_t i = 0; i < n; i++) { workers[i].number = (unsigned)i; pthread_create(&workers[i].thread, NULL, work, &workers[i]); }
    for (size_t i = 0; i < burners; i++) pthread_create(&spinners[i], NULL, spin, NULL);
    double begun = now();
    rest(begun + seconds);
    stop = 1;
    struct worker all = {0};
    for (size_t i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
        all.ops += workers[i].ops, all.errors += workers[i].errors, all.sum += workers[i].sum;
        if (workers[i].most > all.most) all.most = workers[i].most;
    }
    for (size_t i = 0; i < burners; i++) pthread_join(spinners[i], NULL);
    printf("ops %lu per_s %.1f mean_ms %.2f max_ms %.1f errors %lu\n", all.ops, (double)all.ops / (now() - begun),
        all.ops ? all.sum / (double)all.ops * 1e3 : 0, all.most * 1e3, all.errors);
    return 0;
}
