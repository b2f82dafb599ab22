"""The module name of can-isotp 2 for `isotp.socket` and its options."""

from ..kernel.socket import socket
from ..opts import LinkLayerProtocol, flags
from . import opts

__all__ = ["LinkLayerProtocol", "check_support", "flags", "opts", "socket"]


def check_support() -> None:
    """Raise UnavailableError, which says what to do, where the kernel has no ISO-TP sockets."""
    socket().close()
