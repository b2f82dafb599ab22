"""What every ISO-TP socket of this library is, whoever does the protocol behind it."""

import errno
import time
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

from .address import Address, AsymmetricAddress
from .errors import (
    AddressError,
    IsoTpError,
    ReceiveBufferTooSmallError,
    SocketClosedError,
    UnconfirmedSendWarning,
    warn,
)
from .opts.records import FlowControlOptions, GeneralOptions, LinkLayerOptions

# linux/socket.h; Python has these names only where the platform does
MSG_PEEK: Final = 0x02
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40

_LONGEST_S: Final = 1e6  # eleven days; beyond that it is no limit, and above 2**63 ns no clock takes it


class ReceivedMessage(NamedTuple):
    """A message and what is known about it."""

    data: bytes
    timestamp_ns: int
    """When its last frame was received: nanoseconds since the epoch, as time.time_ns()."""
    dropped: int
    """Messages dropped since the socket was made, up to this one, because nobody read them."""


class AnySocket(Protocol):
    """What all ISO-TP sockets have in common, those that wait and those of asyncio."""

    @property
    def bound(self) -> bool:
        """Whether the socket has an address."""

    @property
    def interface(self) -> str | None:
        """The CAN interface or bus, once bound."""

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""

    @property
    def dropped(self) -> int:
        """How many complete messages were dropped because nobody read them."""

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may wait; None: without limit."""

    def set_general_opts(
        self,
        optflags: int | None = None,
        frame_txtime: int | None = None,
        ext_address: int | None = None,
        txpad: int | None = None,
        rxpad: int | None = None,
        rx_ext_address: int | None = None,
        tx_stmin: int | None = None,
        rx_stmin: int | None = None,
    ) -> GeneralOptions:
        """Set general options; what is left out keeps its value."""

    def set_opts(self, optflag: int | None = None, **others: int | None) -> GeneralOptions:
        """Set general options, under the names can-isotp 2 has for them."""

    def set_fc_opts(
        self, bs: int | None = None, stmin: int | None = None, wftmax: int | None = None
    ) -> FlowControlOptions:
        """Set flow control options; what is left out keeps its value."""

    def set_ll_opts(
        self, mtu: int | None = None, tx_dl: int | None = None, tx_flags: int | None = None
    ) -> LinkLayerOptions:
        """Set link layer options; what is left out keeps its value."""

    def get_general_opts(self) -> GeneralOptions:
        """The general options."""

    def get_opts(self) -> GeneralOptions:
        """The general options, under the name can-isotp 2 has for them."""

    def get_fc_opts(self) -> FlowControlOptions:
        """The flow control options."""

    def get_ll_opts(self) -> LinkLayerOptions:
        """The link layer options."""

    def settimeout(self, timeout: float | None) -> None:
        """Set how many seconds calls may wait; None: without limit, 0: not at all."""

    def gettimeout(self) -> float | None:
        """The timeout in seconds, or None."""

    def setblocking(self, flag: bool) -> None:
        """Wait without limit (True) or not at all (False)."""

    def getblocking(self) -> bool:
        """Whether calls may wait."""

    def close(self) -> None:
        """Close the socket; who waits in it gets SocketClosedError."""


class IsoTpSocket(AnySocket, Protocol):
    """What code that uses an ISO-TP socket can rely on, be it `isotp.socket` or `SoftSocket`.

    `bind` is not among it: where a link is differs. The classes document each method.
    """

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message; returns its length."""

    def confirm(self) -> None:
        """Wait for messages sent with `confirm=False`, and raise their failure."""

    def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer`; returns its length."""

    def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with its time."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class TimeLimits:
    """How long the calls of a socket may wait."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = _checked_timeout(timeout)

    def settimeout(self, timeout: float | None) -> None:
        """Set how many seconds calls may wait; None: without limit, 0: not at all."""
        self._timeout = _checked_timeout(timeout)

    def gettimeout(self) -> float | None:
        """The timeout in seconds, or None."""
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """The timeout in seconds, or None."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """Wait without limit (True) or not at all (False)."""
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether calls may wait."""
        return self._timeout != 0

    def _deadline(self, flags: int) -> float | None:
        """When to stop waiting, in monotonic seconds; 0: do not wait, None: no limit."""
        timeout = self._timeout
        if timeout == 0 or flags & MSG_DONTWAIT:
            return 0.0
        return None if timeout is None else time.monotonic() + timeout

    def _out_of_time(self, what: str, deadline: float | None, remedy: str = "") -> OSError:
        if deadline == 0:
            return BlockingIOError(errno.EAGAIN, what + remedy)
        timeout = self._timeout  # None if it was changed meanwhile
        return TimeoutError(f"{what} after {timeout:g} s{remedy}" if timeout else what + remedy)


class CommonSocket(TimeLimits):
    """What sockets that wait do alike: `recv_into`, and closing at the end of a `with` block."""

    def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the socket."""
        raise NotImplementedError

    @property
    def _link(self) -> str:
        """The link, in errors."""
        raise NotImplementedError

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer` and return its length in bytes.

        Args:
            buffer: a writable bytes-like object.
            nbytes: how much of it to use; 0: all.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            ReceiveBufferTooSmallError: the message is longer; it is kept.
            OSError: as `recv`.
        """
        view = room_in(buffer, nbytes)
        return fill(view, self.recv(len(view), flags), self._link)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncIsoTpSocket(AnySocket, Protocol):
    """What asyncio code that uses an ISO-TP socket can rely on, be it `AsyncSocket` or `AsyncSoftSocket`.

    `bind` is not among it: where a link is differs. The classes document each method.
    """

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message; returns its length."""

    async def confirm(self) -> None:
        """Wait for messages sent with `confirm=False` or given up, and raise their failure."""

    async def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole."""

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer`; returns its length."""

    async def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with its time."""

    async def wait_closed(self) -> None:
        """Wait until a closed socket is gone: until what it was sending has ended."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> bytes: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class CommonAsyncSocket(TimeLimits):
    """What asyncio sockets do alike: `recv_into`, iteration, and closing at the end of an `async with` block."""

    async def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the socket."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Wait until the closed socket is gone."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""
        raise NotImplementedError

    @property
    def _link(self) -> str:
        """The link, in errors."""
        raise NotImplementedError

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer` and return its length in bytes.

        Args:
            buffer: a writable bytes-like object.
            nbytes: how much of it to use; 0: all.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            ReceiveBufferTooSmallError: the message is longer; it is kept.
            OSError: as `recv`.
        """
        view = room_in(buffer, nbytes)
        return fill(view, await self.recv(len(view), flags), self._link)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next message; `close` ends the iteration."""
        try:
            return await self.recv()
        except SocketClosedError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()


class UnconfirmedFailures:
    """Failures of messages whose sender did not wait, until somebody asks."""

    def __init__(self) -> None:
        self.failures = 0
        """How many unconfirmed messages failed since last asked."""
        self._first_failure: IsoTpError | None = None

    def keep_failure(self, failure: IsoTpError | None) -> None:
        """Remember the failure of a message whose sender did not wait."""
        if failure is not None:
            self._first_failure = self._first_failure or failure
            self.failures += 1

    def take_failure(self) -> IsoTpError | None:
        """The first failure remembered, with a note that counts the others; they are told then."""
        failure, others = self._first_failure, self.failures - 1
        self._first_failure, self.failures = None, 0
        if failure is not None and others > 0:
            failure.add_note(f"{others} more message(s) sent without confirmation failed after it")
        return failure

    def tell_failures(self) -> None:
        """Warn of what nobody asked about, now that nobody can any more."""
        if failures := self.failures:
            warn(
                f"{failures} message(s) failed whose outcome nobody asked about; the first one: {self.take_failure()}",
                UnconfirmedSendWarning,
            )


def check_address(address: object, rxid: int | None, txid: int | None) -> None:
    """Refuse what `bind` cannot be given as an address.

    Raises:
        TypeError: `address` is no address.
        AddressError: an address and identifiers were both given.
    """
    if address is None:
        return
    if not isinstance(address, Address | AsymmetricAddress):
        raise TypeError(f"address must be an isotp.Address, not {address!r}; identifiers go as rxid=, txid=")
    if rxid is not None or txid is not None:
        raise AddressError("an address and rxid/txid were both given: give one of them")


def room_in(buffer: Any, nbytes: int) -> memoryview:
    """The part of `buffer` that `recv_into` may fill: its first `nbytes`; 0: all.

    Raises:
        TypeError: it is read-only.
        ValueError: `nbytes` is negative.
    """
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError("the buffer is read-only; a bytearray is not")
    if nbytes < 0:
        raise ValueError(f"nbytes={nbytes}: allowed is 0 (the whole buffer) or a number of bytes")
    return view[: nbytes or len(view)]


def fill(view: memoryview, data: bytes, link: str) -> int:
    """Put `data` at the start of `view` and return its length."""
    if len(data) > len(view):
        raise buffer_too_small(len(data), len(view), link, data)
    view[: len(data)] = data
    return len(data)


def buffer_too_small(needed: int, given: int, link: str, data: bytes | None = None) -> ReceiveBufferTooSmallError:
    """The error of a message of `needed` bytes that does not fit; `data` is the message if it could not be kept."""
    fate = "it was kept" if data is None else "it is the `data` of this error"
    error = ReceiveBufferTooSmallError(
        f"the message has {needed} bytes and the buffer {given}; {fate}",
        link=link,
        remedy="recv() without bufsize takes any message",
    )
    error.needed, error.given, error.data = needed, given, data
    return error


def _checked_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout={timeout!r}: allowed is None (no limit), 0 (do not wait) or seconds")
    return None if timeout is not None and timeout > _LONGEST_S else timeout
