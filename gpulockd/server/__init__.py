"""The Unix socket: connections, the identity that the kernel attests, and the method table."""

from .admission import Limits
from .context import Sources
from .keeping import Keeping
from .server import Server
from .sessions import Sessions
from .watchers import Watchers

__all__ = ["Keeping", "Limits", "Server", "Sessions", "Sources", "Watchers"]
