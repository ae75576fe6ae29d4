/* Preloaded into a process under test: operations on files below FAULT_ROOT are counted and fail as told.
 *
 * FAULT_AT=K        the K-th operation fails, from 1
 * FAULT_MODE=once   with FAULT_ERRNO, and only that one (a flaky disk); a write is torn: half of it is done
 *           stay    with FAULT_ERRNO, and so do all that follow (a disk that is full, gone or read-only)
 *           kill    by SIGKILL, after half of a write
 * FAULT_BYTES=N     N bytes can be written, then the disk is full
 * FAULT_COUNT=FILE  receives the number of operations and of bytes written
 * FAULT_CLOCK=SEED  every reading of the clock is up to an hour off, either way
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const char *root;
static long fails_at = -1, budget = -1, count, written;
static int error_number = EIO;
static char mode = 'o';
static unsigned long clock_seed;

__attribute__((constructor)) static void start(void) {
    const char *value;
    root = getenv("FAULT_ROOT");
    if ((value = getenv("FAULT_AT"))) fails_at = atol(value);
    if ((value = getenv("FAULT_BYTES"))) budget = atol(value);
    if ((value = getenv("FAULT_ERRNO"))) error_number = atoi(value);
    if ((value = getenv("FAULT_MODE"))) mode = value[0];
    if ((value = getenv("FAULT_CLOCK"))) clock_seed = strtoul(value, NULL, 10);
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld %ld", count, written);
        fclose(file);
    }
}

static int below(const char *path) {
    return root && path && strncmp(path, root, strlen(root)) == 0;
}

static int fd_below(int fd) {
    char link[64], target[4096];
    if (fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return below(target);
}

static int at_below(int dir, const char *path) {
    return path && path[0] == '/' ? below(path) : fd_below(dir);
}

/* Counts an operation; whether it must fail. */
static int due(void) {
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    return fails_at > 0 && (number == fails_at || (mode == 's' && number > fails_at));
}

static int fail(void) {
    if (mode == 'k') kill(getpid(), SIGKILL);
    errno = error_number;
    return -1;
}

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    if (!fd_below(fd)) return real(fd, bytes, length);
    if (due()) {
        if (mode != 's' && length > 1) real(fd, bytes, length / 2);
        return fail();
    }
    if (budget >= 0) {
        if (budget == 0 && length > 0) {
            errno = ENOSPC;
            return -1;
        }
        if ((long)length > budget) length = budget;
        budget -= length;
    }
    ssize_t done = real(fd, bytes, length);
    if (done > 0) __atomic_add_fetch(&written, done, __ATOMIC_RELAXED);
    return done;
}

#define ON_FD(type, name, parameters, arguments) \
    type name parameters { \
        REAL(name); \
        if (fd_below(fd) && due()) return fail(); \
        return real arguments; \
    }
ON_FD(int, fsync, (int fd), (fd))
ON_FD(int, fdatasync, (int fd), (fd))
ON_FD(int, ftruncate64, (int fd, off64_t length), (fd, length))
ON_FD(int, ftruncate, (int fd, off_t length), (fd, length))

#define ON_PATH(name, parameters, arguments) \
    int name parameters { \
        REAL(name); \
        if (below(path) && due()) return fail(); \
        return real arguments; \
    }
ON_PATH(rename, (const char *path, const char *to), (path, to))
ON_PATH(mkdir, (const char *path, mode_t bits), (path, bits))
ON_PATH(unlink, (const char *path), (path))
ON_PATH(rmdir, (const char *path), (path))

int linkat(int from, const char *path, int to, const char *name, int flags) {
    REAL(linkat);
    if (at_below(from, path) && due()) return fail();
    return real(from, path, to, name, flags);
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    if (at_below(dir, path) && due()) return fail();
    return real(dir, path, flags);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static unsigned long state;
    REAL(clock_gettime);
    int outcome = real(clock, time);
    if (clock_seed && outcome == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC)) {
        unsigned long drawn = __atomic_add_fetch(&state, clock_seed * 2 + 1, __ATOMIC_RELAXED);
        drawn = (drawn * 6364136223846793005UL + 1442695040888963407UL) >> 33;
        time->tv_sec += (long)(drawn % 7201) - 3600;
    }
    return outcome;
}

/* So that copies are writes. */
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *offset, size_t length, unsigned flags) {
    (void)from, (void)at, (void)to, (void)offset, (void)length, (void)flags;
    errno = ENOSYS;
    return -1;
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    (void)to, (void)from, (void)at, (void)length;
    errno = ENOSYS;
    return -1;
}

#define OPEN(name, at, given) \
    { \
        REAL(name); \
        mode_t bits = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            bits = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        if ((flags & O_CREAT) && (given) && due()) return fail(); \
        return real at; \
    }
int open64(const char *path, int flags, ...) OPEN(open64, (path, flags, bits), below(path))
int open(const char *path, int flags, ...) OPEN(open, (path, flags, bits), below(path))
int openat64(int dir, const char *path, int flags, ...) OPEN(openat64, (dir, path, flags, bits), at_below(dir, path))
