/* What the pretended driver knows: one file, which the tests write and both libraries read.
 *
 * tests/support/fake_nvml.py mirrors these structures; `size` tells when it does not. Readers hold a shared
 * flock, writers an exclusive one, each on a file description of its own, so that threads and processes see whole
 * states only.
 */
#ifndef FAKE_NVML_STATE_H
#define FAKE_NVML_STATE_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { MAX_GPUS = 16, MAX_PROCESSES = 64, TEXT = 96 };
enum kind { COMPUTE = 1, GRAPHICS = 2, MPS = 4 };

/* Calls that can be made to fail, each by itself. */
enum call {
    CALL_HANDLE,
    CALL_UUID,
    CALL_NAME,
    CALL_MEMORY,
    CALL_MEMORY_V2,
    CALL_UTILIZATION,
    CALL_COMPUTE,
    CALL_GRAPHICS,
    CALL_MPS,
    CALL_MIG_MODE,
    CALL_COUNT
};

struct process {
    uint32_t pid;
    uint32_t kinds;
    uint64_t memory;     /* bytes; UINT64_MAX: not available */
    uint64_t start_time; /* not 0: a real process, which leaves the GPU when it ends */
};

struct gpu {
    char uuid[TEXT];
    char name[TEXT];
    int32_t parent; /* -1: a card; otherwise the card that this MIG instance is part of */
    uint32_t mig_mode;
    uint64_t memory_total;
    uint64_t memory_used; /* besides what its processes use */
    uint32_t utilization; /* per cent */
    uint32_t hang;        /* every call on it returns only when this is 0 again */
    uint32_t fault[CALL_COUNT];
    uint32_t understate;  /* so many times, asking for the number of processes is told `understated` */
    uint32_t understated;
    uint32_t process_count;
    struct process processes[MAX_PROCESSES];
    /* Written by the library. */
    uint32_t calls;
    uint32_t inside;      /* callers that are in it now */
    uint32_t most_inside;
};

struct state {
    uint32_t size; /* of this structure, as the writer understands it */
    uint32_t gpu_count;
    char driver[TEXT];
    uint32_t init_fault;
    uint32_t init_hang;
    uint32_t inits;
    uint32_t reserved;
    struct gpu gpus[MAX_GPUS];
};

/* Opens the state under a lock; -1 where no test has written one. */
static inline int state_open(int operation) {
    const char *path = getenv("FAKE_NVML_STATE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0)
        flock(file, operation);
    return file;
}

static inline int state_load(int file, struct state *state) {
    if (file < 0 || pread(file, state, sizeof *state, 0) != sizeof *state || state->size != sizeof *state) {
        fprintf(stderr, "fake driver: $FAKE_NVML_STATE is not a state of this library\n");
        return -1;
    }
    return 0;
}

static inline int state_read(struct state *state) {
    int file = state_open(LOCK_SH);
    int result = state_load(file, state);
    if (file >= 0)
        close(file);
    return result;
}

/* Begins a change: loads the state and keeps it locked until `state_end`. */
static inline int state_begin(struct state *state) {
    int file = state_open(LOCK_EX);
    if (state_load(file, state) == 0)
        return file;
    if (file >= 0)
        close(file);
    return -1;
}

static inline void state_end(int file, const struct state *state) {
    if (pwrite(file, state, sizeof *state, 0) != sizeof *state)
        perror("fake driver: cannot write the state");
    close(file);
}

/* Clock ticks after boot at which a process started; 0 once it has ended, reaped or not. */
static inline uint64_t process_start_time(uint32_t pid) {
    char path[32], text[1024], condition;
    unsigned long long started = 0;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *after_name = strrchr(text, ')');
    const char *fields = " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu";
    if (!after_name || sscanf(after_name + 1, fields, &condition, &started) != 2)
        return 0;
    return condition == 'Z' || condition == 'X' ? 0 : started;
}

static inline int process_is_there(const struct process *process) {
    return process->start_time == 0 || process_start_time(process->pid) == process->start_time;
}

#endif
