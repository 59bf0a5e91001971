"""Who is at the other end of a Unix socket, in the kernel's words.

The credentials are those of the moment of `connect`; nothing that the client sends can change them. The pidfd pins
that very process: its number may be reused later, the descriptor never names another one.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

_UCRED = struct.Struct("3i")
_SO_PEERPIDFD = 77
"""Linux 6.5 and later; not in the `socket` module yet."""
_NOT_SUPPORTED = (errno.ENOPROTOOPT, errno.EOPNOTSUPP)
_HAS_ENDED = (errno.ESRCH, errno.ENODATA, errno.EINVAL)
"""Linux says the last one where it knows no descriptor of a dead process; later ones give one, of the dead process."""


class Peer(NamedTuple):
    pid: int
    uid: int
    gid: int
    pidfd: int | None
    """An open descriptor that the caller must close or hand on. None where the kernel gives none."""


def peer_of(connection: socket.socket) -> Peer:
    """The process that connected.

    Raises `ConnectionAbortedError` where it has ended already, so that its number may be another process's by now,
    and `OSError` where no descriptor is left for its pidfd.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, gid, _pidfd(connection, pid))


def _pidfd(connection: socket.socket, pid: int) -> int | None:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return None
        if error.errno in _HAS_ENDED:
            raise ConnectionAbortedError(error.errno, f"process {pid} connected and ended at once") from None
        raise
