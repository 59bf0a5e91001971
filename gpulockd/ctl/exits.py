"""The exit codes of `gpulockctl`: what an error ends it with."""

from __future__ import annotations

from gpulock.errors import BadConfiguration, DaemonUnavailable, GpulockError, NotPermitted

REFUSED, UNREACHABLE, NOT_PERMITTED, MISCONFIGURED, INTERRUPTED, PIPE_CLOSED = 1, 69, 77, 78, 130, 141


def exit_code(error: GpulockError) -> int:
    match error:
        case DaemonUnavailable():
            return UNREACHABLE
        case NotPermitted():
            return NOT_PERMITTED
        case BadConfiguration():
            return MISCONFIGURED
        case _:
            return REFUSED
