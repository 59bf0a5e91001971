"""`@gpu_lock`: a function, coroutine or Celery task that runs only while it holds a lock."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from .notices import Queued, Warned

Function = TypeVar("Function", bound="Callable[..., Any]")


@overload
def gpu_lock(function: Function, /) -> Function: ...


@overload
def gpu_lock(
    *,
    gpus: int | str | Sequence[int | str] = 1,
    task: str | None = None,
    wait_timeout: float | str | None = None,
    max_hold: float | str | None = None,
    priority: int = 0,
    profile: str = "",
    labels: Mapping[str, str] | None = None,
    on_queued: Callable[[Queued], object] | None = None,
    on_lost: Callable[[Any], object] | None = None,
    on_warning: Callable[[Any, Warned], object] | None = None,
    soft_timeout: Literal["raise", "cancel"] | None = None,
    nested: bool = True,
    set_env: bool = False,
    pass_lock: str | None = "lock",
    socket: str | None = None,
    unavailable_timeout: float | str = ...,
) -> Callable[[Function], Function]: ...


def gpu_lock(
    function: Callable[..., Any] | None = None,
    /,
    *,
    task: str | None = None,
    pass_lock: str | None = "lock",
    **options: Any,
) -> Any:
    """Runs the decorated function under a lock, from its call to its end.

    Works bare and with arguments, which are those of `gpulock.acquire`, on plain functions, methods and coroutine
    functions; under `@app.task`, bound or not: put it below. `task` is the function's qualified name unless given.
    A parameter called `pass_lock` is given the lock; callers do not pass it, and do not see it in the signature.

    With `set_env`, `CUDA_VISIBLE_DEVICES` and its kin are in `os.environ` during the call: right for a worker
    process that does one task at a time, such as Celery's prefork ones, as long as CUDA is not in use yet.

    Raises `TypeError` for what does not do its work within the call: generators, and classes.
    """
    if function is None:
        return functools.partial(_decorate, task=task, pass_lock=pass_lock, options=options)
    return _decorate(function, task=task, pass_lock=pass_lock, options=options)


def _decorate(
    function: Callable[..., Any], *, task: str | None, pass_lock: str | None, options: dict[str, Any]
) -> Callable[..., Any]:
    _refuse_what_outlasts_its_call(function)
    signature = _signature(function)
    given = pass_lock if pass_lock in signature.parameters else None
    options = {**options, "task": _name(function) if task is None else task}

    if _is_coroutine_function(function):

        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            from . import aio

            async with aio.acquire(**options) as lock:
                return await function(*args, **kwargs, **({given: lock} if given else {}))

    else:

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            from . import sync

            with sync.acquire(**options) as lock:
                result = function(*args, **kwargs, **({given: lock} if given else {}))
                if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
                    if inspect.iscoroutine(result):
                        result.close()
                    raise TypeError(f"{_name(function)} returned {result!r}, whose work would come after the lock")
                return result

    if given is not None:
        if signature.parameters[given].kind is inspect.Parameter.POSITIONAL_ONLY:
            raise TypeError(f"{given!r} of {_name(function)} is positional-only, so gpu_lock cannot pass the lock")
        others = [parameter for name, parameter in signature.parameters.items() if name != given]
        wrapper.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
    return wrapper


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # some functions written in C have none
        return inspect.Signature()


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _refuse_what_outlasts_its_call(function: object) -> None:
    advice = "take the lock inside: with gpulock.acquire(...)"
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"gpu_lock cannot hold a lock for the generator {_name(function)}: {advice}")
    if isinstance(function, (classmethod, staticmethod)):
        raise TypeError(f"put @gpu_lock below @{type(function).__name__}, not above it")
    if inspect.isclass(function):
        raise TypeError(f"gpu_lock cannot hold a lock for the class {_name(function)}: {advice}")
    if not callable(function):
        raise TypeError(f"gpu_lock decorates functions, and {function!r} is none; options are named: gpus=2")


def _name(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", type(function).__qualname__))
