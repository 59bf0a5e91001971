"""`python -m gpulock` is `gpulock`."""

from __future__ import annotations

from .command import run

run()
