"""The process that talks to NVML, so that the daemon never does: `python -m gpulockd.inventory.worker`.

A call that hangs inside the driver can be ended by nobody, not even by SIGKILL. In the daemon such a thread would
keep the process from ending, and with it the journal and the socket from the next one. Here it keeps a card's
lane waiting: each card has a thread of its own, so that the others go on.

Questions come on standard input, answers go to standard output; the end of the input is the end of the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO

from . import messages, nvml
from .messages import Answer, NvmlFailed, Question

CALLS: Mapping[str, Callable[..., Any]] = {
    "open": lambda: messages.dump_driver(nvml.open_driver()),
    "look": lambda card: messages.dump_seen(nvml.look(card)),
    "processes": lambda card, gpu: messages.dump_processes(nvml.processes(card, gpu)),
}


class Lane:
    """Answers questions one after the other: those to one card, or those to the driver as a whole."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._questions: SimpleQueue[Question] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def put(self, question: Question) -> None:
        self._questions.put(question)

    def _run(self) -> None:
        while True:
            question = self._questions.get()
            try:
                answer = Answer(question.id, CALLS[question.call](*question.arguments))
            except NvmlFailed as failure:
                answer = Answer(question.id, failure=(failure.words, failure.remedy))
            self._answers.write(answer)


class Answers:
    """The way back to the daemon, for every lane."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, answer: Answer) -> None:
        with self._lock:
            self._stream.write(answer.encode())
            self._stream.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on a terminal is for the daemon to answer
    threading.excepthook = _die
    # Whatever a library prints belongs into the log, not between the answers.
    answers = Answers(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    lanes: dict[tuple[Any, ...], Lane] = {}
    for line in sys.stdin.buffer:
        question = Question.decode(line)
        lane = question.arguments[:1]
        if lane not in lanes:
            lanes[lane] = Lane(answers)
        lanes[lane].put(question)
    os._exit(0)  # without a word to NVML and to threads, which may be stuck


def _die(failure: threading.ExceptHookArgs) -> None:
    """A lane that ended by a bug, or by the daemon's end, would look like a GPU that hangs."""
    if not isinstance(failure.exc_value, BrokenPipeError):
        threading.__excepthook__(failure)
    os._exit(1)


if __name__ == "__main__":
    main()
