"""A driver to pretend: builds the C libraries of tests/fake_nvml and changes what they answer while they run.

    nvml = FakeNvml(tmp_path, gpus=2)
    subprocess.Popen([sys.executable, "-m", "gpulockd"], env={**os.environ, **nvml.environment()})
    nvml.set_processes(0, [FakeProcess(4711, 1 << 30)])
    nvml.hang(1)

The state lies in one file, whose layout is that of tests/fake_nvml/state.h. It is changed under an exclusive
flock, so a reader sees all of a change or nothing of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 1 << 30
SOURCES = Path(__file__).parents[1] / "fake_nvml"
LIBRARIES = {"libnvidia-ml.so.1": "nvml.c", "libcuda.so.1": "cuda.c"}
FLAGS = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra")
NOT_AVAILABLE = 2**64 - 1

_MAX_GPUS = 16
_MAX_PROCESSES = 64
_TEXT = 96


class Call(IntEnum):
    """What can be made to fail by itself."""

    HANDLE = 0
    UUID = 1
    NAME = 2
    MEMORY = 3
    MEMORY_V2 = 4
    UTILIZATION = 5
    COMPUTE = 6
    GRAPHICS = 7
    MPS = 8
    MIG_MODE = 9


class Kind(IntFlag):
    """The lists a process is in."""

    COMPUTE = 1
    GRAPHICS = 2
    MPS = 4


@dataclass(frozen=True, slots=True)
class FakeProcess:
    pid: int
    memory: int | None
    """Bytes; None: not available."""
    kinds: Kind = Kind.COMPUTE


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the library counted on one GPU."""

    calls: int
    inside: int
    most_inside: int
    """The most callers that were in it at once."""


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("memory", ctypes.c_uint64),
        ("start_time", ctypes.c_uint64),
    )


class _Gpu(ctypes.Structure):
    _fields_ = (
        ("uuid", ctypes.c_char * _TEXT),
        ("name", ctypes.c_char * _TEXT),
        ("parent", ctypes.c_int32),
        ("mig_mode", ctypes.c_uint32),
        ("memory_total", ctypes.c_uint64),
        ("memory_used", ctypes.c_uint64),
        ("utilization", ctypes.c_uint32),
        ("hang", ctypes.c_uint32),
        ("fault", ctypes.c_uint32 * len(Call)),
        ("understate", ctypes.c_uint32),
        ("understated", ctypes.c_uint32),
        ("process_count", ctypes.c_uint32),
        ("processes", _Process * _MAX_PROCESSES),
        ("calls", ctypes.c_uint32),
        ("inside", ctypes.c_uint32),
        ("most_inside", ctypes.c_uint32),
    )


class _State(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("gpu_count", ctypes.c_uint32),
        ("driver", ctypes.c_char * _TEXT),
        ("init_fault", ctypes.c_uint32),
        ("init_hang", ctypes.c_uint32),
        ("inits", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("gpus", _Gpu * _MAX_GPUS),
    )


@functools.cache
def _built() -> tempfile.TemporaryDirectory[str]:
    """The libraries, compiled once for each run of the tests and removed at its end."""
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    folder = tempfile.TemporaryDirectory(prefix="fake-nvml-")
    for library, source in LIBRARIES.items():
        command = [compiler, *FLAGS, "-o", str(Path(folder.name) / library), str(SOURCES / source)]
        subprocess.run(command, check=True)
    return folder


class FakeNvml:
    """One pretended driver and its GPUs, which are named by the order in which they were added: cards first."""

    def __init__(self, directory: Path, gpus: int = 1) -> None:
        self._path = directory / "fake-nvml-state"
        self._path.write_bytes(bytes(_State(size=ctypes.sizeof(_State), driver=b"999.12.03")))
        for index in range(gpus):
            self._add(f"GPU-{index:08x}-0000-4000-8000-000000000000", f"Pretended GPU {index}", -1, 16 * GIB)

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process needs in its environment, before it starts, to find this driver."""
        base = os.environ if base is None else base
        folders = [_built().name, *filter(None, [base.get("LD_LIBRARY_PATH")])]
        return {"LD_LIBRARY_PATH": ":".join(folders), "FAKE_NVML_STATE": str(self._path)}

    # --- the driver -----------------------------------------------------------------------------------------

    def fail_init(self, code: int) -> None:
        """`nvmlInit` fails with this code; 0: no more."""
        with self._changing() as state:
            state.init_fault = code

    def hang_init(self, hang: bool = True) -> None:
        with self._changing() as state:
            state.init_hang = hang

    @property
    def inits(self) -> int:
        """How often the library was initialised, by whomever."""
        with self._changing() as state:
            return int(state.inits)

    # --- a GPU's health -------------------------------------------------------------------------------------

    def fail(self, gpu: int, code: int, *calls: Call) -> None:
        """These calls on the GPU (none named: all) fail with this code; 0: no more."""
        with self._changing_gpu(gpu) as state:
            for call in calls or Call:
                state.fault[call] = code

    def hang(self, *gpus: int) -> None:
        """No call on these GPUs returns until `resume`."""
        self._each(gpus, lambda gpu: setattr(gpu, "hang", 1))

    def resume(self, *gpus: int) -> None:
        self._each(gpus, lambda gpu: setattr(gpu, "hang", 0))

    def traffic(self, gpu: int) -> Traffic:
        with self._changing_gpu(gpu) as state:
            return Traffic(state.calls, state.inside, state.most_inside)

    # --- what a GPU says ------------------------------------------------------------------------------------

    def uuid(self, gpu: int) -> str:
        with self._changing_gpu(gpu) as state:
            return bytes(state.uuid).decode()

    def set_name(self, gpu: int, name: bytes) -> None:
        with self._changing_gpu(gpu) as state:
            state.name = name

    def set_memory(self, gpu: int, used: int, total: int = 16 * GIB) -> None:
        """`used`, besides what its processes use."""
        with self._changing_gpu(gpu) as state:
            state.memory_used, state.memory_total = used, total

    def set_utilization(self, gpu: int, percent: int) -> None:
        with self._changing_gpu(gpu) as state:
            state.utilization = percent

    def set_processes(self, gpu: int, processes: Sequence[FakeProcess]) -> None:
        """These pids are on the GPU, whether they exist or not, until they are set anew."""
        with self._changing_gpu(gpu) as state:
            state.process_count = len(processes)
            for index, each in enumerate(processes):
                memory = NOT_AVAILABLE if each.memory is None else each.memory
                state.processes[index] = _Process(each.pid, each.kinds, memory, 0)

    def understate(self, gpu: int, told: int, times: int) -> None:
        """So many times, asking how many processes there are is told `told`: the list grows or shrinks then."""
        with self._changing_gpu(gpu) as state:
            state.understated, state.understate = told, times

    # --- MIG ------------------------------------------------------------------------------------------------

    def set_mig_mode(self, card: int, on: bool) -> None:
        with self._changing_gpu(card) as state:
            state.mig_mode = on

    def add_instance(self, card: int, memory_total: int = 5 * GIB) -> int:
        """Switches MIG on and adds an instance. Returns its place among the GPUs."""
        self.set_mig_mode(card, True)
        with self._changing() as state:
            place = state.gpu_count
        uuid = f"MIG-{place:08x}-0000-4000-8000-000000000000"
        self._add(uuid, f"Pretended GPU {card} MIG 1g.5gb", card, memory_total)
        return int(place)

    def remove_last(self) -> None:
        """The GPU that was added last is no longer listed."""
        with self._changing() as state:
            state.gpu_count -= 1

    # --- the file -------------------------------------------------------------------------------------------

    def _add(self, uuid: str, name: str, parent: int, memory_total: int) -> None:
        with self._changing() as state:
            state.gpus[state.gpu_count] = _Gpu(
                uuid=uuid.encode(), name=name.encode(), parent=parent, memory_total=memory_total
            )
            state.gpu_count += 1

    def _each(self, gpus: Sequence[int], change: Callable[[_Gpu], None]) -> None:
        with self._changing() as state:
            for gpu in gpus:
                change(state.gpus[gpu])

    @contextlib.contextmanager
    def _changing_gpu(self, gpu: int) -> Iterator[_Gpu]:
        with self._changing() as state:
            yield state.gpus[gpu]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_State]:
        with self._path.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = _State.from_buffer_copy(file.read())
            yield state
            file.seek(0)
            file.write(bytes(state))
