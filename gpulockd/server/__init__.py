"""The Unix socket: connections, the identity that the kernel attests, and the method table."""

from .admission import Limits
from .context import Sources
from .server import Server
from .sessions import Sessions
from .watchers import Watchers

__all__ = ["Limits", "Server", "Sessions", "Sources", "Watchers"]
