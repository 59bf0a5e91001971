"""What a lock tells its holder, whichever shell it came by."""

from __future__ import annotations

from .errors import InvalidRequest, LockLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .nesting import Tenure
    from .notices import Gpu, Grant


def check_soft_timeout(asked: str | None, *known: str) -> None:
    """Raises `InvalidRequest` where a client cannot do at a soft timeout what it is asked to."""
    if asked is not None and asked not in known:
        hint = f"known: {', '.join(known)}"
        if asked == "cancel":
            hint += "; only the asyncio client has a task that it could cancel"
        raise InvalidRequest(f"soft_timeout cannot be {asked!r}", hint=hint)


class HeldLock:
    """The facts of a lock."""

    def __init__(self, grant: Grant, task: str, tenure: Tenure, soft_timeout: str | None) -> None:
        self._grant = grant
        self._tenure = tenure
        self._soft_timeout = soft_timeout
        """What the holder wants it to do; None: nothing, or it has been done."""
        self.task = task

    @property
    def id(self) -> str:
        return self._grant.lock

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier lock on these GPUs."""
        return self._grant.token

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs it holds: `index`, `uuid`, `name` and `memory_total` in bytes of each."""
        return self._grant.gpus

    @property
    def env(self) -> Mapping[str, str]:
        """What a worker process needs in its environment, `CUDA_VISIBLE_DEVICES` first of all.

        This process's own environment is left alone unless `set_env` was asked for: CUDA reads it once, when
        it is first used.
        """
        return self._grant.env

    @property
    def max_hold(self) -> float | None:
        """Seconds after the grant at which the daemon takes it back; None: never."""
        return self._grant.max_hold

    @property
    def nested(self) -> bool:
        """Whether the caller held it already: then its release is for the outer holder."""
        return self._grant.nested

    @property
    def lost(self) -> bool:
        """Whether it was taken back, or is being taken back, while it was held."""
        return self._tenure.loss is not None

    @property
    def lost_reason(self) -> str | None:
        """`revoked`, `max-hold`, `stalled`, `lease-lost`, `not-reattached`, `daemon-away`; None: not lost."""
        return None if self._tenure.loss is None else self._tenure.loss.reason

    def check(self) -> None:
        """Raises `LockLost` if the lock is lost: to be called before what cannot be undone.

        With `soft_timeout="raise"`, raises `SoftTimeout` once the task was asked to finish.
        """
        if self._tenure.loss is not None:
            raise self._tenure.loss.error()
        self._heed()

    def _heed(self) -> None:
        """Raises `SoftTimeout`, once: what the task does to finish may check and beat again."""
        if self._soft_timeout == "raise" and self._tenure.asked is not None:
            self._soft_timeout = None
            raise self._tenure.asked.error()

    def _conclude(self, error: BaseException | None) -> None:
        """The block under the lock was left by `error`, or without one.

        A loss that nobody has heard of is raised. An error of the block is never masked: it is given a note.
        """
        loss = self._tenure.loss
        if loss is None:
            return
        if error is None:
            raise loss.error()
        if not isinstance(error, LockLost):
            error.add_note(f"gpulock: {loss.error().message}")

    def __repr__(self) -> str:
        gpus = ",".join(str(gpu.index) for gpu in self.gpus)
        state = "lost" if self.lost else "released" if self._tenure.ended else "held"
        return f"<{type(self).__module__}.{type(self).__name__} {self.id} on GPU {gpus}, {state}>"
