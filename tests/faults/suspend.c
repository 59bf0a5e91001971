/* Preloaded into every process of a host that is to be suspended: CLOCK_MONOTONIC has not gone on for as long as the
 * file $SUSPENDED says, in nanoseconds. CLOCK_BOOTTIME has, as it does over a real suspend, and so has the rest of the
 * world. What waits until a time of CLOCK_MONOTONIC waits until it is that time here. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *suspended;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
static int (*real_semwait)(sem_t *, clockid_t, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SUSPENDED");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = mmap(NULL, sizeof *suspended, PROT_READ, MAP_SHARED, fd, 0);

    if (page == MAP_FAILED)
        abort();
    close(fd);
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_nanosleep = (int (*)(clockid_t, int, const struct timespec *, struct timespec *))dlsym(RTLD_NEXT, "clock_nanosleep");
    real_semwait = (int (*)(sem_t *, clockid_t, const struct timespec *))dlsym(RTLD_NEXT, "sem_clockwait");
    suspended = page;
}

static int stands_still(clockid_t id)
{
    return id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_RAW || id == CLOCK_MONOTONIC_COARSE;
}

static struct timespec later(const struct timespec *at, int64_t nanoseconds)
{
    int64_t sum = at->tv_sec * SECOND + at->tv_nsec + nanoseconds;

    return (struct timespec){.tv_sec = sum / SECOND, .tv_nsec = sum % SECOND};
}

int clock_gettime(clockid_t id, struct timespec *now)
{
    int failed = real_gettime ? real_gettime(id, now) : -1;

    if (!failed && suspended && stands_still(id))
        *now = later(now, -*suspended);
    return failed;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *until, struct timespec *left)
{
    struct timespec there;
    int64_t so_far;
    int error;

    if (!(flags & TIMER_ABSTIME) || !stands_still(id))
        return real_nanosleep(id, flags, until, left);
    do {
        so_far = *suspended;
        there = later(until, so_far);
        error = real_nanosleep(id, flags, &there, left);
    } while (!error && *suspended != so_far); /* the kernel's clock went on in between */
    return error;
}

int sem_clockwait(sem_t *semaphore, clockid_t id, const struct timespec *until)
{
    struct timespec there;
    int64_t so_far;
    int failed;

    if (!stands_still(id))
        return real_semwait(semaphore, id, until);
    do {
        so_far = *suspended;
        there = later(until, so_far);
        failed = real_semwait(semaphore, id, &there);
    } while (failed && errno == ETIMEDOUT && *suspended != so_far);
    return failed;
}
