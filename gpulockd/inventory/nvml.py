"""What the inventory asks of NVML: the only import of `pynvml`.

Any call may hang for as long as the driver likes, so this runs in the worker process alone (see `worker`).
Nothing is kept between calls: handles are looked up each time, and a MIG instance that is gone is not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pynvml

from ..core.model import GpuIdentity, GpuProcess, Sample
from .messages import KERNEL_LOG, Driver, NvmlFailed, Seen

Handle = Any
"""`nvmlDevice_t`: a pointer that only NVML understands."""
T = TypeVar("T")

CANNOT_TELL = frozenset(
    {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND}
)
"""How a healthy GPU says N/A."""

RESET = "reset it with `nvidia-smi --gpu-reset` while nothing uses it, or reboot the host"
REMEDIES = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "install the NVIDIA driver: libnvidia-ml.so.1 is part of it",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load the NVIDIA driver with `modprobe nvidia`",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the driver was updated while the old one stays loaded: "
    "reload the nvidia modules, or reboot the host",
    pynvml.NVML_ERROR_NO_PERMISSION: "let the daemon's user read and write /dev/nvidia*",
    pynvml.NVML_ERROR_GPU_IS_LOST: RESET,
    pynvml.NVML_ERROR_RESET_REQUIRED: RESET,
}
PROCESS_LISTS: tuple[Callable[[Handle], list[Any]], ...] = (
    pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
    pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
    pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3,
)
GROWTH_TRIES = 4
"""How often a list of processes may outgrow the room made for it before that counts as a fault."""


def open_driver() -> Driver:
    """Loads and initialises NVML. Raises `NvmlFailed`."""
    try:
        pynvml.nvmlInit()
        return Driver(_text(pynvml.nvmlSystemGetDriverVersion), pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError as error:
        raise _failed(error) from error


def look(card: int) -> list[Seen]:
    """The card, or the MIG instances it is divided into, and how each is. An instance's index is its number on
    the card. Raises `NvmlFailed` for a sick card."""
    try:
        return [_seen(handle, index, parent) for handle, index, parent in _grantable(card)]
    except pynvml.NVMLError as error:
        raise _failed(error) from error


def processes(card: int, uuid: str) -> list[GpuProcess] | None:
    """Who is on the GPU; None where the driver cannot tell. Raises `NvmlFailed`."""
    try:
        for handle, _, _ in _grantable(card):
            if _text(pynvml.nvmlDeviceGetUUID, handle) == uuid:
                return _processes(handle)
    except pynvml.NVMLError as error:
        raise _failed(error) from error
    raise NvmlFailed(f"NVML no longer lists {uuid} on card {card}", "restart gpulockd to list the GPUs anew")


def _grantable(card: int) -> Iterator[tuple[Handle, int, str | None]]:
    """Handle, index and parent of what a worker can be given: the card itself only when it is not divided."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(card)
    current, _pending = _available(pynvml.nvmlDeviceGetMigMode, handle) or (0, 0)
    if current != pynvml.NVML_DEVICE_MIG_ENABLE:
        yield handle, card, None
        return
    parent = _text(pynvml.nvmlDeviceGetUUID, handle)
    for number in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number), number, parent
        except pynvml.NVMLError_NotFound:
            continue


def _seen(handle: Handle, index: int, parent: str | None) -> Seen:
    uuid = _text(pynvml.nvmlDeviceGetUUID, handle)
    name = _text(pynvml.nvmlDeviceGetName, handle)
    try:
        memory = _available(_memory, handle)
        sample = Sample(
            memory_used=memory.used if memory else None,
            utilization=_utilization(handle),
            processes=None if (found := _processes(handle)) is None else tuple(found),
        )
    except pynvml.NVMLError as error:
        return GpuIdentity(uuid, index, name, 0, parent), Sample(fault=str(_failed(error)))
    return GpuIdentity(uuid, index, name, memory.total if memory else 0, parent), sample


def _memory(handle: Handle) -> Any:
    """What nvidia-smi shows: without what the driver reserves for itself, where it tells the two apart."""
    try:
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    except (
        pynvml.NVMLError_FunctionNotFound,
        pynvml.NVMLError_NotSupported,
        pynvml.NVMLError_ArgumentVersionMismatch,
    ):
        return pynvml.nvmlDeviceGetMemoryInfo(handle)


def _utilization(handle: Handle) -> float | None:
    """For people only, so no reason to call a GPU sick: a lost one fails the other questions too."""
    try:
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except pynvml.NVMLError:
        return None


def _processes(handle: Handle) -> list[GpuProcess] | None:
    """Each pid once, with the most memory that any list says; None where the driver does not tell who computes.

    Pid 0 stands for a process that this PID namespace cannot see; two of them are not one and the same.
    """
    lists = [_available(_listed, handle, ask) for ask in PROCESS_LISTS]
    if lists[0] is None:
        return None
    entries = [entry for each in lists for entry in each or ()]
    memory: dict[int, int | None] = {}
    for entry in entries:
        if entry.pid:
            amounts = (memory.get(entry.pid), entry.usedGpuMemory)
            memory[entry.pid] = max((each for each in amounts if each is not None), default=None)
    invisible = [GpuProcess(0, entry.usedGpuMemory) for entry in entries if not entry.pid]
    return [GpuProcess(pid, amount) for pid, amount in memory.items()] + invisible


def _listed(handle: Handle, ask: Callable[[Handle], list[Any]]) -> list[Any]:
    """`pynvml` makes room for twice as many as there just were; even more can come in between."""
    for _ in range(GROWTH_TRIES - 1):
        try:
            return ask(handle)
        except pynvml.NVMLError_InsufficientSize:
            continue
    return ask(handle)


def _available(read: Callable[..., T], *arguments: Any) -> T | None:
    """What `read` answers; None where the driver cannot tell."""
    try:
        return read(*arguments)
    except pynvml.NVMLError as error:
        if error.value in CANNOT_TELL:
            return None
        raise


def _text(read: Callable[..., str], *arguments: object) -> str:
    """A name as NVML has it. `pynvml` takes it for UTF-8, which nobody promises."""
    try:
        return read(*arguments)
    except UnicodeDecodeError as error:
        return error.object.decode(errors="replace")


def _failed(error: pynvml.NVMLError) -> NvmlFailed:
    return NvmlFailed(str(error).rstrip("."), REMEDIES.get(error.value, KERNEL_LOG))
