/* Preloaded into a process: counts how often it waited for a disk. */

#define _GNU_SOURCE
#include <dlfcn.h>

int syncs;

static int counted(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);

    __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
    return real(fd);
}

int fsync(int fd) { return counted("fsync", fd); }

int fdatasync(int fd) { return counted("fdatasync", fd); }
