"""The NVML worker as the daemon sees it: a child that is asked, and may not answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from .messages import Answer, NvmlFailed, Question

COMMAND = (sys.executable, "-P", "-X", "faulthandler", "-m", f"{__package__}.worker")
LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of the longest answer: far above what the processes of one card take."""


class WorkerProcess:
    """A running worker. Every question is answered in the end, if only by *it has ended*."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._questions = process.stdin
        self._answers = process.stdout
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._count = 0
        self._end: NvmlFailed | None = None
        self._reading = asyncio.create_task(self._read(), name="answers of the NVML worker")

    @classmethod
    async def start(cls) -> WorkerProcess:
        """Raises `NvmlFailed` where no process can be started."""
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(),
                limit=LINE_LIMIT,
            )
        except OSError as error:
            raise NvmlFailed(
                f"the NVML worker cannot be started: {error}", "see the limits on processes and memory"
            ) from error
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._end is not None

    def ask(self, call: str, *arguments: Any) -> asyncio.Future[Answer]:
        """Sends a question. The future has its answer, however long that takes; it never raises."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._count += 1
        if self._end is not None:
            answer.set_result(self._farewell(self._count, self._end))
            return answer
        self._asked[self._count] = answer
        self._questions.write(Question(self._count, call, arguments).encode())
        return answer

    async def end(self) -> None:
        """Kills it and waits until it is gone: for ever, if it is stuck in the driver."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            while line := await self._answers.readline():
                answer = Answer.decode(line)
                if not (future := self._asked.pop(answer.id)).done():
                    future.set_result(answer)
            words = f"the NVML worker ended by itself: {_status(await self._process.wait())}"
        except ValueError as error:
            self._process.kill()
            words = f"the NVML worker answered what makes no sense, and was ended: {error}"
        self._questions.close()
        self._end = NvmlFailed(words, "it is started again; the daemon's log may say more")
        for number, future in self._asked.items():
            if not future.done():
                future.set_result(self._farewell(number, self._end))
        self._asked.clear()

    @staticmethod
    def _farewell(number: int, end: NvmlFailed) -> Answer:
        return Answer(number, failure=(end.words, end.remedy))


def _environment() -> dict[str, str]:
    """It finds this package where the daemon found it, and imports nothing from the working directory."""
    search = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": search}


def _status(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {-code} ({signal.strsignal(-code)})"
