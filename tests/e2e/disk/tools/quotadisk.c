// A volume with a quota: one file of a FUSE file system, answered as slowly as a token bucket for operations and bytes
// says; beneath a loop device it is a disk. It can stop answering, or answer with EIO, and it counts.
// It refuses to lose an answer: what waits in `hang` is answered after `normal` or `eio`.
//
//   quotadisk BACKING MOUNTPOINT IOPS MIB_PER_S LATENCY_MS
//
//   MOUNTPOINT/disk      the volume, as large as BACKING
//   MOUNTPOINT/control   write: normal | hang | eio | limits IOPS MIB_PER_S LATENCY_MS
//   MOUNTPOINT/counters  read: one `name value` a line
//
// One thread takes requests and never waits; another answers each when it is due. Limits of 0 mean none.
#define FUSE_USE_VERSION 312
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ROOT = FUSE_ROOT_ID, DISK, CONTROL, COUNTERS, NODES };
static const char *const names[NODES] = {[DISK] = "disk", [CONTROL] = "control", [COUNTERS] = "counters"};
enum mode { NORMAL, HANG, EIO_MODE };
static const char *const mode_names[] = {"normal", "hang", "eio"};

struct waiting {
    struct waiting *next;
    fuse_req_t request;
    enum { READ, WRITE, FLUSH } kind;
    size_t bytes;
    off_t offset;
    double due;
};
struct line { struct waiting *head, **tail; };

static int backing;
static off_t volume_size;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
// Flushes cost the latency alone, so they stand in a line of their own: each line is due in its own order.
static struct line data = {NULL, &data.head}, flushes = {NULL, &flushes.head};
static enum mode mode = NORMAL;
static double limit_ops, limit_bytes, latency;
// A bucket is kept as the moment when it will be full again; it holds DEPTH seconds of its rate.
#define DEPTH 0.005
static double full_ops, full_bytes;
static struct { unsigned long reads, writes, flushes, errors, bytes, in_flight, most_in_flight; double over_ops, over_bytes; } count;
static double over_ops_until, over_bytes_until;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// When the bucket can give `amount`, and for how long demand has stood above the limit by then.
static double take(double *full, double amount, double rate, double t, double *over, double *over_until) {
    if (rate <= 0) return t;
    if (*full < t) *full = t;
    *full += amount / rate;
    double ready = *full - DEPTH;
    if (ready <= t) return t;
    double from = *over_until > t ? *over_until : t;
    if (ready > from) { *over += ready - from; *over_until = ready; }
    return ready;
}

static void queue(fuse_req_t request, int kind, size_t bytes, off_t offset) {
    struct waiting *w = calloc(1, sizeof *w);
    if (!w) { fuse_reply_err(request, ENOMEM); return; }
    *w = (struct waiting){.request = request, .kind = kind, .bytes = bytes, .offset = offset};
    pthread_mutex_lock(&lock);
    double t = now(), ready = t;
    if (kind != FLUSH) {
        // One operation of the quota is at most 256 KiB, as with the volumes that this stands for.
        double by_ops = take(&full_ops, (double)((bytes + 262143) / 262144), limit_ops, t, &count.over_ops, &over_ops_until);
        double by_bytes = take(&full_bytes, (double)bytes, limit_bytes, t, &count.over_bytes, &over_bytes_until);
        ready = by_ops > by_bytes ? by_ops : by_bytes;
    }
    w->due = ready + latency;
    struct line *line = kind == FLUSH ? &flushes : &data;
    *line->tail = w;
    line->tail = &w->next;
    if (++count.in_flight > count.most_in_flight) count.most_in_flight = count.in_flight;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

static struct waiting *pop(struct line *line) {
    struct waiting *w = line->head;
    line->head = w->next;
    if (!line->head) line->tail = &line->head;
    return w;
}

static void answer(struct waiting *w, enum mode as) {
    if (as == EIO_MODE) {
        fuse_reply_err(w->request, EIO);
    } else if (w->kind == READ) {
        char *bytes = malloc(w->bytes);
        ssize_t got = bytes ? pread(backing, bytes, w->bytes, w->offset) : -1;
        if (got < 0) fuse_reply_err(w->request, EIO);
        else fuse_reply_buf(w->request, bytes, (size_t)got);
        free(bytes);
    } else if (w->kind == WRITE) {
        fuse_reply_write(w->request, w->bytes);
    } else {
        fuse_reply_err(w->request, 0);
    }
    free(w);
}

static void *answerer(void *unused) {
    (void)unused;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); // A signal has to interrupt the other thread's read.
    pthread_mutex_lock(&lock);
    for (;;) {
        struct line *line = !flushes.head || (data.head && data.head->due <= flushes.head->due) ? &data : &flushes;
        if (!line->head || mode == HANG) { pthread_cond_wait(&changed, &lock); continue; }
        double due = line->head->due;
        if (mode == NORMAL && due > now()) {
            struct timespec until = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)};
            pthread_cond_timedwait(&changed, &lock, &until);
            continue;
        }
        struct waiting *w = pop(line);
        enum mode as = mode;
        count.in_flight--;
        if (as == EIO_MODE) count.errors++;
        else if (w->kind == FLUSH) count.flushes++;
        else { *(w->kind == READ ? &count.reads : &count.writes) += 1; count.bytes += w->bytes; }
        pthread_mutex_unlock(&lock);
        answer(w, as);
        pthread_mutex_lock(&lock);
    }
    return NULL;
}

static struct stat attributes(fuse_ino_t node) {
    struct stat s = {.st_ino = node, .st_nlink = 1, .st_mode = S_IFREG | 0600};
    if (node == ROOT) { s.st_mode = S_IFDIR | 0700; s.st_nlink = 2; }
    if (node == DISK) s.st_size = volume_size;
    return s;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
    for (fuse_ino_t node = DISK; parent == ROOT && node < NODES; node++) {
        if (strcmp(name, names[node]) != 0) continue;
        struct fuse_entry_param e = {.ino = node, .attr = attributes(node), .attr_timeout = 1e6, .entry_timeout = 1e6};
        fuse_reply_entry(request, &e);
        return;
    }
    fuse_reply_err(request, ENOENT);
}

static void on_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
    (void)file;
    struct stat s = attributes(node);
    fuse_reply_attr(request, &s, 1e6);
}

static void on_setattr(fuse_req_t request, fuse_ino_t node, struct stat *wanted, int which, struct fuse_file_info *file) {
    (void)wanted, (void)which; // A shell's `>` truncates: the sizes stay what they are.
    on_getattr(request, node, file);
}

static void on_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file) {
    if (node == ROOT) { fuse_reply_err(request, EISDIR); return; }
    file->direct_io = 1;
    fuse_reply_open(request, file);
}

static void on_read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    if (node == DISK) { queue(request, READ, size, offset); return; }
    char text[1024];
    pthread_mutex_lock(&lock);
    int length = snprintf(text, sizeof text,
        "mode %s\nlimit_iops %.0f\nlimit_mib_per_s %.1f\nlatency_ms %.3f\nreads %lu\nwrites %lu\nflushes %lu\nerrors %lu\nbytes %lu\n"
        "in_flight %lu\nmost_in_flight %lu\nover_iops_us %.0f\nover_throughput_us %.0f\n",
        mode_names[mode], limit_ops, limit_bytes / 1048576, latency * 1e3, count.reads, count.writes, count.flushes, count.errors,
        count.bytes, count.in_flight, count.most_in_flight, count.over_ops * 1e6, count.over_bytes * 1e6);
    pthread_mutex_unlock(&lock);
    if (node != COUNTERS || offset >= length) length = 0;
    fuse_reply_buf(request, text, (size_t)length < size ? (size_t)length : size);
}

static int control(const char *word) {
    double ops, mib, ms;
    if (sscanf(word, "limits %lf %lf %lf", &ops, &mib, &ms) == 3) {
        limit_ops = ops, limit_bytes = mib * 1048576, latency = ms / 1e3;
        full_ops = full_bytes = 0;
        return 0;
    }
    for (int m = NORMAL; m <= EIO_MODE; m++)
        if (strncmp(word, mode_names[m], strlen(mode_names[m])) == 0) { mode = (enum mode)m; return 0; }
    return EINVAL;
}

static void on_write(fuse_req_t request, fuse_ino_t node, const char *bytes, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    if (node == DISK) {
        // The bytes are only ours until this returns: they are kept now, and the answer waits its turn.
        pthread_mutex_lock(&lock);
        enum mode as = mode;
        pthread_mutex_unlock(&lock);
        if (as != EIO_MODE && pwrite(backing, bytes, size, offset) != (ssize_t)size) { fuse_reply_err(request, EIO); return; }
        queue(request, WRITE, size, offset);
        return;
    }
    char word[128] = "";
    memcpy(word, bytes, size < sizeof word - 1 ? size : sizeof word - 1);
    pthread_mutex_lock(&lock);
    int bad = node == CONTROL ? control(word) : EACCES;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    if (bad) fuse_reply_err(request, bad); else fuse_reply_write(request, size);
}

static void on_fsync(fuse_req_t request, fuse_ino_t node, int data_only, struct fuse_file_info *file) {
    (void)data_only, (void)file;
    if (node == DISK) queue(request, FLUSH, 0, 0); else fuse_reply_err(request, 0);
}

static void on_init(void *unused, struct fuse_conn_info *connection) {
    (void)unused;
    connection->max_write = 1048576;
    connection->max_background = 256; // Above loop's own queue: nothing waits where nobody counts it.
    connection->congestion_threshold = 256;
    if (connection->capable & FUSE_CAP_ASYNC_DIO) connection->want |= FUSE_CAP_ASYNC_DIO;
}

int main(int argc, char **argv) {
    if (argc != 6) { fprintf(stderr, "usage: quotadisk BACKING MOUNTPOINT IOPS MIB_PER_S LATENCY_MS\n"); return 2; }
    prctl(PR_SET_PDEATHSIG, SIGTERM); // Whoever made the disk is gone: nobody would ever release what hangs on it.
    // A real disk does not stand in line for a processor. Where this is not allowed, the disk is as good as the machine is idle.
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 10}) != 0) fprintf(stderr, "quotadisk: no real-time priority\n");
    struct stat s;
    backing = open(argv[1], O_RDWR | O_CLOEXEC);
    if (backing < 0 || fstat(backing, &s) < 0) { perror(argv[1]); return 1; }
    volume_size = s.st_size;
    char limits[128];
    snprintf(limits, sizeof limits, "limits %s %s %s", argv[3], argv[4], argv[5]);
    if (control(limits) != 0) { fprintf(stderr, "not three numbers: %s\n", limits); return 2; }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &monotonic);

    static const struct fuse_lowlevel_ops operations = {.init = on_init, .lookup = on_lookup, .getattr = on_getattr,
        .setattr = on_setattr, .open = on_open, .read = on_read, .write = on_write, .fsync = on_fsync};
    char *plain[] = {argv[0], "-o", "fsname=quotadisk", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, plain);
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    pthread_t thread;
    if (!session || fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, argv[2]) != 0) return 1;
    if (pthread_create(&thread, NULL, answerer, NULL) != 0) return 1;
    int result = fuse_session_loop(session);
    fuse_session_unmount(session);
    return result == 0 ? 0 : 1;
}
