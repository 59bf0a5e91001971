"""The worker of a storm: takes locks of every kind through a real client, and writes down what it knows for certain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import time
from dataclasses import dataclass

import gpulock
from demo.diary import Diary, now
from demo.history import DAEMON

from .fate import Fate, Victim

PATIENCE = 60.0
"""Seconds that nothing in a storm takes, if nothing is broken. Long, because a request that waits loses its place with
each daemon that is killed, and can be unlucky for as long as the storm lasts."""
LONGEST_HOLD = 0.02
SHORT_WAIT = 0.03
SO_PEERPIDFD = 77
"""Linux 6.5 and later."""


@dataclass(slots=True)
class Worker:
    """One process's whole life, from after its fork."""

    diary: Diary
    chance: random.Random
    gpus: int
    stopping: bool = False

    def live(self) -> None:
        """Job after job until SIGTERM, or until it meets its fate."""
        signal.signal(signal.SIGTERM, self._stop)
        asynchronous = self.chance.random() < 0.25
        fate = Fate.draw(self.chance) if not asynchronous and self.chance.random() < 0.7 else None
        self.diary.write("born", asynchronous=asynchronous, fate=str(fate))
        if fate is not None:
            fate.arm(self.strike)
        while not self.stopping:
            if asynchronous:
                asyncio.run(self._work_on_a_loop())
            else:
                self._work()
            if self.chance.random() < 0.02:
                break
        self.diary.write("done")

    def strike(self, victim: Victim, descriptor: int) -> None:
        if victim != "worker" and (daemon := _peer(descriptor)) is not None:
            self.diary.write("kills", victim=DAEMON)
            with contextlib.suppress(ProcessLookupError):  # somebody else has killed it
                signal.pidfd_send_signal(daemon, signal.SIGKILL)
            os.close(daemon)
        if victim != "daemon":
            self.diary.write("kills", victim=self.diary.who)
            os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _wish(self) -> tuple[int | list[str], float]:
        """How many GPUs or which, and how long to wait for them; and writes it down."""
        wanted: int | list[str] = self.chance.choice((1, 1, 1, 2, [str(self.chance.randrange(self.gpus))]))
        patient = self.chance.random() < 0.8
        wait = PATIENCE if patient else SHORT_WAIT
        self.diary.write("want", gpus=wanted, wait=wait, expect="granted" if patient else "either")
        return wanted, wait

    def _refused(self, error: gpulock.GpulockError) -> None:
        self.diary.write("refused", code=error.wire_code, why=error.message)

    def _granted(self, lock: gpulock.Lock | gpulock.aio.Lock) -> None:
        self.diary.write("got", lock=lock.id, token=lock.token, gpus=[gpu.index for gpu in lock.gpus])

    def _leaving(self, lock: gpulock.Lock | gpulock.aio.Lock, away: bool) -> None:
        self.diary.write("leaving", token=lock.token, lost=lock.lost_reason, away=away)

    def _work(self) -> None:
        wanted, wait = self._wish()
        try:
            lock = gpulock.acquire(wanted, wait_timeout=wait, unavailable_timeout=PATIENCE)
        except gpulock.GpulockError as error:
            self._refused(error)
            return
        self._granted(lock)
        time.sleep(self.chance.uniform(0, LONGEST_HOLD))
        # One that does not wait for a dead daemon to come back is to be let go all the same.
        away = self._ask(lock, patience=self.chance.choice((0.0, PATIENCE)))
        self._leaving(lock, away)
        lock.release()
        self.diary.write("left", token=lock.token)

    def _ask(self, lock: gpulock.Lock, patience: float) -> bool:
        """Asks the daemon whether the lock is still this worker's. Returns whether nobody was there to be asked."""
        until = now() + patience
        while True:
            asked = now()
            try:
                lock.beat()
            except gpulock.DaemonUnavailable:
                if now() >= until:
                    return True
                time.sleep(0.002)
            except gpulock.GpulockError as error:
                self.diary.write("denied", token=lock.token, why=str(error))
                return False
            else:
                self.diary.write("kept", token=lock.token, asked=asked)
                return False

    async def _work_on_a_loop(self) -> None:
        wanted, wait = self._wish()
        try:
            lock = await gpulock.aio.acquire(wanted, wait_timeout=wait, unavailable_timeout=PATIENCE)
        except gpulock.GpulockError as error:
            self._refused(error)
            return
        self._granted(lock)
        await asyncio.sleep(self.chance.uniform(0, LONGEST_HOLD))
        away = await self._ask_on_a_loop(lock, patience=self.chance.choice((0.0, PATIENCE)))
        self._leaving(lock, away)
        await lock.release()
        self.diary.write("left", token=lock.token)

    async def _ask_on_a_loop(self, lock: gpulock.aio.Lock, patience: float) -> bool:
        until = now() + patience
        while True:
            asked = now()
            try:
                await lock.beat()
            except gpulock.DaemonUnavailable:
                if now() >= until:
                    return True
                await asyncio.sleep(0.002)
            except gpulock.GpulockError as error:
                self.diary.write("denied", token=lock.token, why=str(error))
                return False
            else:
                self.diary.write("kept", token=lock.token, asked=asked)
                return False


def _peer(descriptor: int) -> int | None:
    """A pidfd of the daemon behind a connection. None where the kernel gives none: a mere pid might be reused."""
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        try:
            return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
        except OSError:
            return None
