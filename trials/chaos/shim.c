/* Stands between a process and its C library, for `moodwire chaos` (LD_PRELOAD).
 *
 * CHAOS_SHIM names a file that is mapped and shared with the trial: how many milliseconds this process's clock is wrong,
 * whether its disk hangs, and the size that each file had when it was last synchronised. `shim.py` has the layout.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FILES 256

struct file {
    int64_t inode;
    int64_t synced_bytes;
};
struct shared {
    volatile int64_t offset_ms;
    volatile int64_t disk_hangs;
    struct file files[FILES];
};
static struct shared *shared;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("CHAOS_SHIM");
    int fd = path ? open(path, O_RDWR) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) shared = map;
    if (fd >= 0) close(fd);
}

static void shift(struct timespec *at) {
    int64_t ns = at->tv_nsec + (shared ? shared->offset_ms : 0) % 1000 * 1000000;
    at->tv_sec += (shared ? shared->offset_ms : 0) / 1000 + (ns < 0 ? -1 : ns >= 1000000000 ? 1 : 0);
    at->tv_nsec = (ns + 1000000000) % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, at);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(at);
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

static int synchronise(int fd, const char *name) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    struct stat file;
    int known = !fstat(fd, &file); /* before: what is written meanwhile may not be synchronised */
    while (shared && shared->disk_hangs) usleep(1000);
    int result = real(fd);
    if (shared && known && !result) {
        struct file *slot = &shared->files[file.st_ino % FILES];
        slot->inode = file.st_ino;
        slot->synced_bytes = file.st_size;
    }
    return result;
}

int fsync(int fd) { return synchronise(fd, "fsync"); }
int fdatasync(int fd) { return synchronise(fd, "fdatasync"); }
