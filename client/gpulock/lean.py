"""`signal` and `socket` as they are in C: without `enum` and `selectors`, which would take a sixth of the time in which
`gpulock -- CMD` starts.

Type checkers see the real ones. At run time signals, families and handlers are plain integers, which is all that the
kernel knows of them, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
else:
    import _signal as signal
    import _socket as socket

__all__ = ["signal", "socket"]
