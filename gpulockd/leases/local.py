"""The lease of a host without Redis: a kernel lock on the state directory, which ends with the process.

It cannot expire, so it needs no renewal; what it shares with the lease in Redis is that only one daemon has it and
that its epoch grows, even when the journal beside it is deleted.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.model import LeaseHolder
from ..ports import Claimed, Post, Renewed, Unavailable
from .identity import Identity


class LocalLeases:
    """The port `Leases` on one directory."""

    kind = "local"
    ttl = math.inf

    def __init__(self, state_dir: Path, identity: Identity) -> None:
        self._lock_path = state_dir / "lease.lock"
        self._epoch_path = state_dir / "lease.epoch"
        self._identity = identity
        self._lock: int | None = None
        """Descriptor of the locked file; None: not ours."""
        self._granted: dict[str, tuple[int, int]] = {}
        """Attempt and epoch of each GPU's lease."""
        self._snapshot: tuple[float, Mapping[str, object]] | None = None
        self._turn = asyncio.Lock()

    async def claim(self, attempt: int, gpus: Sequence[str], floor: int, held: Sequence[str] = ()) -> Claimed:  # noqa: ARG002
        """All GPUs have one counter here, so those in `held` need nothing."""
        async with self._turn:
            try:
                return await asyncio.to_thread(self._claim, attempt, gpus, floor)
            except (OSError, ValueError) as error:
                raise Unavailable(
                    f"the lease in {self._lock_path.parent} cannot be taken: {error}; "
                    "daemon.state_dir must be a directory that the daemon may write to, on a disk with room"
                ) from error

    def _claim(self, attempt: int, gpus: Sequence[str], floor: int) -> Claimed:
        other = self._take_lock()
        if other is not None:
            return Claimed(epochs={}, refused=dict.fromkeys(gpus, other))
        new = [gpu for gpu in gpus if not self._repeats(gpu, attempt, floor)]
        if new:
            epoch = max(self._stored_epoch(), floor) + 1
            self._store_epoch(epoch)
            self._granted.update(dict.fromkeys(new, (attempt, epoch)))
        return Claimed(epochs={gpu: self._granted[gpu][1] for gpu in gpus}, refused={})

    def _repeats(self, gpu: str, attempt: int, floor: int) -> bool:
        granted = self._granted.get(gpu)
        return granted is not None and granted[0] == attempt and granted[1] > floor

    async def renew(self, attempt: int, epochs: Mapping[str, int], snapshot: Mapping[str, object]) -> Renewed:  # noqa: ARG002
        async with self._turn:
            if not self._lock_is_ours():
                self._let_go()
        self._snapshot = (_now(), snapshot)
        kept = {gpu for gpu, epoch in epochs.items() if gpu in self._granted and self._granted[gpu][1] == epoch}
        return Renewed(kept=frozenset(kept), lost=dict.fromkeys(epochs.keys() - kept))

    async def release(self, epochs: Mapping[str, int]) -> None:
        async with self._turn:
            for gpu, epoch in epochs.items():
                if gpu in self._granted and self._granted[gpu][1] == epoch:
                    del self._granted[gpu]
            if not self._granted:
                self._let_go()

    async def fleet(self) -> list[Mapping[str, object]]:
        """This host alone, once it has said anything."""
        if self._snapshot is None:
            return []
        at, snapshot = self._snapshot
        return [{**snapshot, "age": _now() - at}]

    async def listen(self, post: Post) -> None:  # noqa: ARG002
        """Nobody else can release anything here."""
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        async with self._turn:
            self._let_go()

    def _take_lock(self) -> LeaseHolder | None:
        """Locks the file, unless another process has it: then who."""
        if self._lock is not None and self._lock_is_ours():
            return None
        self._let_go()
        descriptor = _open(self._lock_path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with open(descriptor, encoding="utf-8", errors="replace") as file:
                return self._holder(file.readline())
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor
        line = f"{self._identity.process.pid} {self._identity.host}\n".encode()
        os.pwrite(descriptor, line, 0)
        os.ftruncate(descriptor, len(line))
        if not self._lock_is_ours():
            raise OSError(f"{self._lock_path} was removed meanwhile")
        return None

    def _holder(self, line: str) -> LeaseHolder:
        pid, _, host = line.strip().partition(" ")
        return LeaseHolder(host or self._identity.host, int(pid) if pid.isdigit() else 0)

    def _lock_is_ours(self) -> bool:
        """A lock on a file that was removed or replaced keeps nobody out."""
        if self._lock is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._lock), self._lock_path.stat())
        except FileNotFoundError:
            return False

    def _let_go(self) -> None:
        self._granted.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _stored_epoch(self) -> int:
        try:
            with open(_open(self._epoch_path, os.O_RDONLY), encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            return 0
        try:
            return int(text)
        except ValueError as error:
            raise ValueError(f"{self._epoch_path} is damaged; remove it if the journal beside it is intact") from error

    def _store_epoch(self, epoch: int) -> None:
        """Replaces the file as a whole, and returns when it is on the disk."""
        new = self._epoch_path.with_suffix(".new")
        new.unlink(missing_ok=True)  # what a daemon that was killed has left
        with open(_open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="ascii") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._epoch_path)
        directory = os.open(self._epoch_path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _open(path: Path, flags: int) -> int:
    """A descriptor of the file itself: a link in its place could lead anywhere."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(error.errno, "it is a symbolic link, which is not followed", str(path)) from None
        raise


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
