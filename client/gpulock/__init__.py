"""Hold a GPU for as long as you need it, and nobody else has it: the client of gpulockd.

    import gpulock

    with gpulock.acquire(gpus=1, task="ocr", wait_timeout="30m") as lock:
        run(lock.gpus, lock.token)

    async with gpulock.aio.acquire(gpus=2) as lock: ...

    @gpulock.gpu_lock(task="ocr")
    def recognise(page): ...

Every error is a `GpulockError`. Nothing is imported before it is used: this package wraps every command of some
hosts.
"""

from __future__ import annotations

from .errors import (
    BadConfiguration,
    Busy,
    ConfigurationRefused,
    ConfigurationUnwritable,
    DaemonUnavailable,
    Deadlock,
    GpulockError,
    InternalError,
    InvalidRequest,
    JournalUnavailable,
    LeaseUnavailable,
    LimitExceeded,
    LockLost,
    LockTimeout,
    NestedRequest,
    NotHeld,
    NotPermitted,
    ProtocolError,
    RequestCancelled,
    RestartNeeded,
    SoftTimeout,
    UnknownGpu,
    UnknownMethod,
    Unsatisfiable,
)
from .version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import aio
    from .decorator import gpu_lock
    from .notices import Gpu, Loss, Queued, Warned
    from .sync import Client, Lock, acquire

__all__ = [
    "BadConfiguration",
    "Busy",
    "Client",
    "ConfigurationRefused",
    "ConfigurationUnwritable",
    "DaemonUnavailable",
    "Deadlock",
    "Gpu",
    "GpulockError",
    "InternalError",
    "InvalidRequest",
    "JournalUnavailable",
    "LeaseUnavailable",
    "LimitExceeded",
    "Lock",
    "LockLost",
    "LockTimeout",
    "Loss",
    "NestedRequest",
    "NotHeld",
    "NotPermitted",
    "ProtocolError",
    "Queued",
    "RequestCancelled",
    "RestartNeeded",
    "SoftTimeout",
    "UnknownGpu",
    "UnknownMethod",
    "Unsatisfiable",
    "Warned",
    "__version__",
    "acquire",
    "aio",
    "gpu_lock",
]

_HOMES = {
    **dict.fromkeys(("Client", "Lock", "acquire"), "sync"),
    **dict.fromkeys(("Gpu", "Loss", "Queued", "Warned"), "notices"),
    "gpu_lock": "decorator",
    "aio": "aio",
}


def __getattr__(name: str) -> object:
    if (home := _HOMES.get(name)) is None:  # so it is whenever a `from . import module` in here looks for the name
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module("." + home, __name__)
    value = globals()[name] = module if name == home else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
