/* libcuda.so.1 for machines without a GPU: as much of it as takes memory.
 *
 * With it a worker that allocates is listed by the NVML beside it until it dies, as on a real GPU.
 */

#include "state.h"

#include <ctype.h>

typedef unsigned int CUresult;
typedef int CUdevice; /* the GPU's place in the state */

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
};

static int visible[MAX_GPUS];
static int visible_count = -1;
static int current = -1;

CUresult cuGetErrorName(CUresult error, const char **name) {
    *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
            : error == NO_DEVICE   ? "CUDA_ERROR_NO_DEVICE"
                                   : "CUDA_ERROR_INVALID_VALUE";
    return SUCCESS;
}

/* The GPU that an entry of CUDA_VISIBLE_DEVICES means: a UUID, or a card's number. */
static int named(const struct state *state, const char *name) {
    int number = isdigit((unsigned char)*name) ? atoi(name) : -1;
    for (unsigned int i = 0; i < state->gpu_count; i++) {
        if (strcmp(state->gpus[i].uuid, name) == 0)
            return (int)i;
        if (state->gpus[i].parent < 0 && number-- == 0)
            return (int)i;
    }
    return -1;
}

CUresult cuInit(unsigned int flags) {
    struct state state;
    if (flags || state_read(&state))
        return flags ? INVALID_VALUE : NO_DEVICE;
    visible_count = 0;
    const char *wanted = getenv("CUDA_VISIBLE_DEVICES");
    if (!wanted) {
        for (unsigned int i = 0; i < state.gpu_count; i++)
            if (state.gpus[i].parent < 0)
                visible[visible_count++] = (int)i;
        return visible_count ? SUCCESS : NO_DEVICE;
    }
    char names[4096], *rest = NULL;
    snprintf(names, sizeof names, "%s", wanted);
    for (char *name = strtok_r(names, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        int place = named(&state, name);
        if (place < 0 || visible_count == MAX_GPUS)
            break; /* what follows an unknown name is invisible */
        visible[visible_count++] = place;
    }
    return visible_count ? SUCCESS : NO_DEVICE;
}

CUresult cuDeviceGetCount(int *count) {
    *count = visible_count;
    return visible_count < 0 ? NOT_INITIALIZED : SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    if (ordinal < 0 || ordinal >= visible_count)
        return INVALID_DEVICE;
    *device = visible[ordinal];
    return SUCCESS;
}

CUresult cuDeviceGetUuid_v2(unsigned char uuid[16], CUdevice device) {
    struct state state;
    if (state_read(&state))
        return INVALID_DEVICE;
    const char *digits = strchr(state.gpus[device].uuid, '-');
    for (int i = 0; i < 16 && digits; i++) {
        unsigned int byte;
        digits += strspn(digits, "-");
        if (sscanf(digits, "%2x", &byte) != 1)
            return INVALID_DEVICE;
        uuid[i] = (unsigned char)byte;
        digits += 2;
    }
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(void **context, CUdevice device) {
    *context = (void *)(uintptr_t)(device + 1);
    return SUCCESS;
}

CUresult cuCtxSetCurrent(void *context) {
    current = (int)(uintptr_t)context - 1;
    return SUCCESS;
}

/* Takes the place of a process that has ended, or the next free one. */
static struct process *entry(struct gpu *gpu, uint32_t pid, uint64_t started) {
    struct process *vacant = NULL;
    for (unsigned int i = 0; i < gpu->process_count; i++) {
        struct process *process = &gpu->processes[i];
        if (process->pid == pid && process->start_time == started)
            return process;
        if (!process_is_there(process))
            vacant = process;
    }
    if (!vacant && gpu->process_count < MAX_PROCESSES)
        vacant = &gpu->processes[gpu->process_count++];
    if (vacant)
        *vacant = (struct process){pid, COMPUTE, 0, started};
    return vacant;
}

CUresult cuMemAlloc_v2(unsigned long long *address, size_t size) {
    struct state state;
    int file = current < 0 ? -1 : state_begin(&state);
    if (file < 0)
        return NOT_INITIALIZED;
    uint32_t pid = (uint32_t)getpid();
    struct process *process = entry(&state.gpus[current], pid, process_start_time(pid));
    if (process)
        process->memory += size;
    state_end(file, &state);
    *address = 0x7f0000000000;
    return process ? SUCCESS : OUT_OF_MEMORY;
}
