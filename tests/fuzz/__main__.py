"""The same targets for as long as one likes, by a fuzzer that follows the coverage.

    make fuzz SECONDS=60                                    each target in turn, for a minute
    .venv-fuzz/bin/python -m tests.fuzz methods 60          one of them
    .venv-fuzz/bin/python -m tests.fuzz methods FILE        what a file of bytes does

What breaks a target is written to `methods-...` beside where it was started: move it to `tests/fuzz/found` once it is
mended, and every test run tries it again. What reached new code is kept in `.fuzz`, and the next run begins from there.
Exit status: 0 where nothing was found.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CORPUS = Path(".fuzz")
LONGEST = 4096
"""Bytes of one try."""


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].isdecimal():
        return _each(int(arguments[0]) if arguments else 0)
    name, *rest = arguments
    return _one(name, rest[0] if rest else "0")


def _each(seconds: int) -> int:
    """All targets, one after the other; without end each in turn for a minute."""
    from .targets import TARGETS

    while True:
        for name in TARGETS:
            ended = subprocess.run([sys.executable, "-m", "tests.fuzz", name, str(seconds or 60)], check=False)
            if ended.returncode:
                return ended.returncode
        if seconds:
            return 0


def _one(name: str, what: str) -> int:
    if not what.isdecimal():
        from .targets import TARGETS

        TARGETS[name](Path(what).read_bytes())
        print(f"{what} breaks nothing")
        return 0
    import atheris

    with atheris.instrument_imports(include=["gpulock", "gpulockd"]):
        from .targets import TARGETS
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    print(f"{name}, for {what} s", flush=True)
    options = {
        "max_total_time": what,
        "max_len": LONGEST,
        "len_control": 20,
        "timeout": 10,
        "artifact_prefix": f"{name}-",
    }
    said = {"verbosity": 0, "print_final_stats": 1}
    flags = [f"-{option}={given}" for option, given in {**options, **said}.items()]
    atheris.Setup([sys.argv[0], str(corpus), *flags], TARGETS[name])
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
