/* libnvidia-ml.so.1 for machines without a GPU: what pynvml calls, answered from what the tests wrote. */

#include "state.h"

typedef unsigned int nvmlReturn_t;
typedef void *nvmlDevice_t; /* the GPU's place in the state, plus one */

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_NOT_FOUND = 28,
};

struct memory {
    unsigned long long total, free, used;
};

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

struct utilization {
    unsigned int gpu, memory;
};

struct process_info {
    unsigned int pid;
    unsigned long long memory;
    unsigned int gpu_instance, compute_instance;
};

static volatile int initialised;

static void pause_briefly(void) { usleep(2000); }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    struct state state;
    (void)flags;
    int file = state_begin(&state);
    if (file < 0)
        return DRIVER_NOT_LOADED;
    state.inits++;
    state_end(file, &state);
    do {
        if (state_read(&state))
            return DRIVER_NOT_LOADED;
    } while (state.init_hang && (pause_briefly(), 1));
    initialised = state.init_fault == SUCCESS;
    return state.init_fault;
}

nvmlReturn_t nvmlShutdown(void) {
    if (!initialised)
        return UNINITIALIZED;
    initialised = 0;
    return SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    return code == GPU_NOT_FOUND ? "The given GPU was not found" : "An error that only the library knows";
}

static nvmlReturn_t text(char *buffer, unsigned int length, const char *value) {
    if (strlen(value) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return SUCCESS;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    struct state state;
    if (!initialised || state_read(&state))
        return UNINITIALIZED;
    return text(version, length, state.driver);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    struct state state;
    if (!initialised || state_read(&state))
        return UNINITIALIZED;
    *count = 0;
    for (unsigned int i = 0; i < state.gpu_count; i++)
        *count += state.gpus[i].parent < 0;
    return SUCCESS;
}

/* Counts the caller, waits while the GPU hangs, and says how the call is to end. */
static nvmlReturn_t enter(unsigned int place, enum call call, struct gpu *gpu) {
    struct state state;
    if (!initialised)
        return UNINITIALIZED;
    int file = state_begin(&state);
    if (file < 0)
        return UNINITIALIZED;
    if (place >= state.gpu_count) {
        close(file);
        return INVALID_ARGUMENT;
    }
    state.gpus[place].calls++;
    if (++state.gpus[place].inside > state.gpus[place].most_inside)
        state.gpus[place].most_inside = state.gpus[place].inside;
    state_end(file, &state);
    while (state_read(&state) == 0 && state.gpus[place].hang)
        pause_briefly();
    file = state_begin(&state);
    if (file < 0)
        return UNINITIALIZED;
    state.gpus[place].inside--;
    *gpu = state.gpus[place];
    state_end(file, &state);
    return gpu->fault[call];
}

static unsigned int place_of(nvmlDevice_t device) { return (unsigned int)(uintptr_t)device - 1; }

static nvmlDevice_t device_at(unsigned int place) { return (nvmlDevice_t)(uintptr_t)(place + 1); }

/* The `index`th GPU whose parent is `parent`. */
static nvmlReturn_t find(int parent, unsigned int index, nvmlDevice_t *device) {
    struct state state;
    struct gpu gpu;
    if (!initialised || state_read(&state))
        return UNINITIALIZED;
    for (unsigned int i = 0; i < state.gpu_count; i++)
        if (state.gpus[i].parent == parent && index-- == 0) {
            *device = device_at(i);
            return enter(i, CALL_HANDLE, &gpu);
        }
    return parent < 0 ? INVALID_ARGUMENT : NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    return find(-1, index, device);
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index,
                                                 nvmlDevice_t *instance) {
    return find((int)place_of(device), index, instance);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_UUID, &gpu);
    return result ? result : text(uuid, length, gpu.uuid);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_NAME, &gpu);
    return result ? result : text(name, length, gpu.name);
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_MIG_MODE, &gpu);
    *current = *pending = gpu.mig_mode;
    return result;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_MIG_MODE, &gpu);
    *count = 7;
    return result;
}

static unsigned long long used(const struct gpu *gpu) {
    unsigned long long sum = gpu->memory_used;
    for (unsigned int i = 0; i < gpu->process_count; i++)
        if (gpu->processes[i].memory != UINT64_MAX && process_is_there(&gpu->processes[i]))
            sum += gpu->processes[i].memory;
    return sum;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, struct memory *memory) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_MEMORY, &gpu);
    if (result)
        return result;
    unsigned long long taken = used(&gpu);
    *memory = (struct memory){gpu.memory_total, gpu.memory_total - taken, taken};
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, struct memory_v2 *memory) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_MEMORY_V2, &gpu);
    if (result)
        return result;
    unsigned long long taken = used(&gpu);
    *memory = (struct memory_v2){memory->version, gpu.memory_total, 0, gpu.memory_total - taken, taken};
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, struct utilization *utilization) {
    struct gpu gpu;
    nvmlReturn_t result = enter(place_of(device), CALL_UTILIZATION, &gpu);
    if (result)
        return result;
    if (gpu.parent >= 0)
        return NOT_SUPPORTED; /* as the real one answers for a MIG instance */
    *utilization = (struct utilization){gpu.utilization, 0};
    return SUCCESS;
}

static int understates(unsigned int place) {
    struct state state;
    int file = state_begin(&state);
    if (file < 0)
        return 0;
    int left = state.gpus[place].understate > 0;
    state.gpus[place].understate -= left;
    state_end(file, &state);
    return left;
}

/* As the real one: a list that does not fit is refused, and `count` tells how long it is. */
static nvmlReturn_t list(nvmlDevice_t device, enum call call, enum kind kind, unsigned int *count,
                         struct process_info *infos) {
    struct gpu gpu;
    unsigned int room = infos ? *count : 0, found = 0;
    nvmlReturn_t result = enter(place_of(device), call, &gpu);
    if (result)
        return result;
    for (unsigned int i = 0; i < gpu.process_count; i++) {
        const struct process *process = &gpu.processes[i];
        if (!(process->kinds & kind) || !process_is_there(process))
            continue;
        if (found < room)
            infos[found] = (struct process_info){process->pid, process->memory, ~0u, ~0u};
        found++;
    }
    *count = found;
    if (room == 0 && found > 0 && understates(place_of(device)))
        *count = gpu.understated;
    return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     struct process_info *infos) {
    return list(device, CALL_COMPUTE, COMPUTE, count, infos);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     struct process_info *infos) {
    return list(device, CALL_GRAPHICS, GRAPHICS, count, infos);
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count,
                                                     struct process_info *infos) {
    return list(device, CALL_MPS, MPS, count, infos);
}
