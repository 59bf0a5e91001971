"""@gpu_lock on whatever can be decorated, and its refusal of what cannot."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import gpulock
from gpulock import gpu_lock, idle
from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("d")) as daemon:
        yield daemon
    idle.close_all()


@pytest.fixture
def daemon(shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    monkeypatch.setenv("GPULOCK_SOCKET", shared_daemon.socket)
    return shared_daemon


def held(daemon: Daemon) -> list[tuple[str, int]]:
    """Task and number of GPUs of every lock."""
    return [(lock["task"], len(lock["gpus"])) for lock in daemon.status()["locks"]]


def test_a_function_runs_under_a_lock(daemon: Daemon) -> None:
    @gpu_lock
    def recognise(page: int, *, scale: float = 1.0) -> tuple[int, float, list[tuple[str, int]]]:
        """Recognises a page."""
        return page, scale, held(daemon)

    name = "test_a_function_runs_under_a_lock.<locals>.recognise"
    assert recognise(3, scale=2.0) == (3, 2.0, [(name, 1)])
    assert recognise.__doc__ == "Recognises a page."
    assert recognise.__qualname__ == name
    assert list(inspect.signature(recognise).parameters) == ["page", "scale"]


def test_options_are_those_of_acquire(daemon: Daemon) -> None:
    @gpu_lock(gpus=2, task="ocr", priority=3)
    def work() -> list[tuple[str, int]]:
        return held(daemon)

    assert work() == [("ocr", 2)]


def test_the_lock_is_passed_to_a_parameter_of_its_name_and_nobody_sees_that(daemon: Daemon) -> None:
    @gpu_lock(task="ocr")
    def work(page: int, lock: gpulock.Lock) -> tuple[int, str, int]:
        return page, lock.task, lock.token

    page, task, token = work(3)  # type: ignore[call-arg]
    assert (page, task) == (3, "ocr")
    assert token > 0
    assert list(inspect.signature(work).parameters) == ["page"]
    with pytest.raises(TypeError, match="lock"):
        work(3, lock="my own")  # type: ignore[arg-type]


def test_the_parameter_may_have_another_name_or_be_left_alone(daemon: Daemon) -> None:
    @gpu_lock(pass_lock="gpu")
    def named(*, gpu: gpulock.Lock) -> bool:
        return not gpu.lost

    @gpu_lock(pass_lock=None)
    def left_alone(lock: str) -> str:
        return lock

    assert named()  # type: ignore[call-arg]
    assert left_alone("mine") == "mine"


def test_methods(daemon: Daemon) -> None:
    class Reader:
        name = "reader"

        @gpu_lock(task="ocr")
        def read(self, page: int, lock: gpulock.Lock) -> str:
            return f"{self.name} {page} {lock.task}"

        @classmethod
        @gpu_lock
        def build(cls) -> str:
            return cls.name

        @staticmethod
        @gpu_lock
        def count(daemon: Daemon) -> int:
            return len(held(daemon))

    assert Reader().read(3) == "reader 3 ocr"  # type: ignore[call-arg]
    assert Reader.build() == "reader"
    assert Reader.count(daemon) == 1


async def test_a_coroutine_holds_the_lock_until_it_ends(daemon: Daemon) -> None:
    @gpu_lock(task="ocr")
    async def work(lock: gpulock.aio.Lock) -> list[tuple[str, int]]:
        await asyncio.sleep(0)
        assert isinstance(lock, gpulock.aio.Lock)
        return held(daemon)

    assert inspect.iscoroutinefunction(work)
    assert await work() == [("ocr", 1)]  # type: ignore[call-arg]
    assert held(daemon) == []


def test_a_decorated_function_may_call_another(daemon: Daemon) -> None:
    @gpu_lock
    def inner(lock: gpulock.Lock) -> tuple[str, bool]:
        return lock.id, lock.nested

    @gpu_lock
    def outer(lock: gpulock.Lock) -> bool:
        return inner() == (lock.id, True)  # type: ignore[call-arg]

    assert outer()  # type: ignore[call-arg]


def test_set_env(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    @gpu_lock(set_env=True)
    def work(lock: gpulock.Lock) -> bool:
        return os.environ["CUDA_VISIBLE_DEVICES"] == lock.gpus[0].uuid

    assert work()  # type: ignore[call-arg]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_an_error_goes_through_and_the_lock_is_released(daemon: Daemon) -> None:
    @gpu_lock(gpus=2)
    def fail() -> None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail()


def test_no_lock_no_call(daemon: Daemon) -> None:
    calls: list[int] = []

    @gpu_lock(wait_timeout=0)
    def work() -> None:
        calls.append(1)

    with gpulock.acquire(2, nested=False), pytest.raises(gpulock.Busy):
        gpu_lock(wait_timeout=0, nested=False)(calls.append)(1)
    assert calls == []
    work()
    assert calls == [1]


def test_partials_and_callables(daemon: Daemon) -> None:
    class Callable:
        def __call__(self, x: int) -> int:
            return x + 1

    assert gpu_lock(functools.partial(max, 3))(5) == 5
    assert gpu_lock(Callable())(1) == 2


class TestRefused:
    def test_generators(self) -> None:
        def pages() -> Iterator[int]:
            yield 1

        async def pages_too() -> AsyncIterator[int]:
            yield 1

        for function in (pages, pages_too):
            with pytest.raises(TypeError, match=r"generator .*pages.*acquire"):
                gpu_lock(function)

    def test_classes(self) -> None:
        with pytest.raises(TypeError, match="class TestRefused"):
            gpu_lock(TestRefused)

    def test_the_wrong_order_of_decorators(self) -> None:
        for kind in (staticmethod, classmethod):
            with pytest.raises(TypeError, match=f"below @{kind.__name__}"):
                gpu_lock(kind(len))  # type: ignore[type-var, arg-type]

    def test_an_option_without_its_name(self) -> None:
        with pytest.raises(TypeError, match="options are named"):
            gpu_lock(2)  # type: ignore[call-overload]

    def test_a_positional_only_parameter_for_the_lock(self) -> None:
        def work(lock: Any, /) -> None: ...

        with pytest.raises(TypeError, match="positional-only"):
            gpu_lock(work)

    def test_a_function_whose_work_comes_later(self, daemon: Daemon) -> None:
        async def later() -> None: ...

        @gpu_lock
        def work() -> Any:
            return later()

        with pytest.raises(TypeError, match="would come after the lock"):
            work()
