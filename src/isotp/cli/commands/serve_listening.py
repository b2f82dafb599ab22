"""Where isotp serve listens: addresses of this machine, or a Unix socket."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..parser import WrongUsage

Factory = Callable[[], asyncio.BaseProtocol]


class Place(Protocol):
    """Where a server listens."""

    async def listen(self, factory: Factory) -> asyncio.Server:
        """Listen; `factory` makes the protocol of a connection.

        Raises:
            OSError: that is not possible; it says where and why.
        """

    def names(self, server: asyncio.Server) -> list[str]:
        """The place in words."""

    def remove(self) -> None:
        """Remove what was made to listen."""


class TcpPlace:
    """A TCP port.

    Args:
        host: a name or address of this machine.
        port: 0: any free one.
        is_insecure: whether other machines may reach it.

    Raises:
        OSError: there is no such host.
        WrongUsage: other machines would reach it.
    """

    def __init__(self, host: str, port: int, is_insecure: bool) -> None:
        if not host:  # getaddrinfo would take it for all of them
            raise WrongUsage("--host is empty: an address of this machine, or 0.0.0.0 or :: for all of them")
        self._where, self._port = f"{host} port {port}", port
        try:
            found: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as e:
            raise OSError(e.errno, f"cannot listen on {self._where}: {e.strerror or e}") from e
        self._addresses = list(dict.fromkeys(entry[4][0] for entry in found))
        if not is_insecure and not all(ipaddress.ip_address(address).is_loopback for address in self._addresses):
            raise WrongUsage(
                f"--host {host} lets other machines send to the bus, and there is no password: say --insecure, too, if "
                "all of that network may; or leave out --host, and let other machines come through ssh -L"
            )

    async def listen(self, factory: Factory) -> asyncio.Server:
        """See `Place`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(factory, self._addresses, self._port)
        except OSError as e:
            raise OSError(e.errno, f"cannot listen on {self._where}: {_reason(e)}") from e

    def names(self, server: asyncio.Server) -> list[str]:
        """See `Place`."""
        return ["{} port {}".format(*each.getsockname()[:2]) for each in server.sockets]

    def remove(self) -> None:
        """See `Place`: nothing."""


class UnixPlace:
    """A Unix socket that only its owner (and root) can use.

    Args:
        path: in the file system. A socket there that no program listens to any more is replaced.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._inode = 0

    async def listen(self, factory: Factory) -> asyncio.Server:
        """See `Place`."""
        try:
            return await asyncio.get_running_loop().create_unix_server(factory, sock=self._bound())
        except OSError as e:
            raise OSError(e.errno, f"cannot listen on {self._path}: {_reason(e)}") from e

    def _bound(self) -> socket.socket:
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            if _is_left_over(self._path):
                os.unlink(self._path)
            with _umask(0o177):
                sock.bind(self._path)
            sock.listen()
            self._inode = os.stat(self._path).st_ino
            stack.pop_all()
        return sock

    def names(self, server: asyncio.Server) -> list[str]:
        """See `Place`."""
        return [self._path]

    def remove(self) -> None:
        """See `Place`: the socket's file, if it is still the one that was made."""
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)


def _is_left_over(path: str) -> bool:
    """Whether a socket is there that no program listens to.

    Raises:
        OSError: one does, or it is something else.
    """
    try:
        is_socket = stat.S_ISSOCK(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
    if not is_socket:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # where its queue is full, a program has it
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _reason(e: OSError) -> str:
    return os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
