"""The base classes of all ISO-TP sockets: their interface, and what is the same on each.

`IsoTpSocket` is the base of the sockets that block (`isotp.socket`, `SoftSocket`), `AsyncIsoTpSocket` of those for
asyncio (`AsyncSocket`, `AsyncSoftSocket`). Each socket has an `End`, the part that differs between kernel and engine:
it knows address, options and state.
"""

import errno
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, Unpack

from .address import Address, AsymmetricAddress, normal_address
from .deadline import NOW, Deadline
from .errors import (
    AddressError,
    IsoTpError,
    ReceiveBufferTooSmallError,
    SocketClosedError,
    UnconfirmedSendWarning,
    warn,
)
from .opts.optflags import flags
from .opts.records import FlowControlOptions, GeneralFields, GeneralOptions, LinkLayerOptions, LinkLayerProtocol

# linux/socket.h; Python has these names only where the platform does
MSG_PEEK: Final = 0x02
MSG_TRUNC: Final = 0x20
MSG_DONTWAIT: Final = 0x40

STANDSTILL_S: Final = 1.2
"""A transfer stands still when no frame of it is sent for so long: N_Bs, 1 s, and the longest STmin, 127 ms."""

LINGER_S: Final = 2.5
"""How long a message may stand still while `close` waits for it, unless the socket says otherwise: a little longer than
an engine with the times of the standard, and any kernel, takes to notice that the receiver is not there."""

_LONGEST_S: Final = 1e6  # eleven days; a longer timeout counts as none, since the clocks end at 2**63 ns


class ReceivedMessage(NamedTuple):
    """A message, when it was received, how many were dropped before it, and when it began."""

    data: bytes
    timestamp_ns: int
    """When its last frame was received: nanoseconds since the epoch, as time.time_ns()."""
    dropped: int
    """Messages dropped since the socket was made, up to this one, because they were not read in time."""
    begin_ns: int | None = None
    """When its first frame was received, as `timestamp_ns`; None: not known (see `isotp.socket(watch_begin=True)`)."""


class Clock(Protocol):
    """What says how late it is: the module `time`, or what a test has in its place."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""


class End(Protocol):
    """One end of a link: the part of a socket that knows options, address and state."""

    @property
    def interface(self) -> str | None:
        """The CAN interface or bus, once bound."""

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""

    @property
    def link(self) -> str:
        """The link in words, for errors."""

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""

    @property
    def dropped(self) -> int:
        """How many complete messages were dropped because they were not read in time."""

    def bind(self, interface: str | None, address: Address | AsymmetricAddress) -> None:
        """Bind to a link; nothing is changed if it fails."""

    def set_general_opts(self, optflags: int | None, **fields: Unpack[GeneralFields]) -> GeneralOptions:
        """Set what is given, and return the result."""

    def set_fc_opts(self, bs: int | None, stmin: int | None, wftmax: int | None) -> FlowControlOptions:
        """Set what is given, and return the result."""

    def set_ll_opts(self, mtu: int | None, tx_dl: int | None, tx_flags: int | None) -> LinkLayerOptions:
        """Set what is given, and return the result."""

    def get_general_opts(self) -> GeneralOptions:
        """The general options."""

    def get_fc_opts(self) -> FlowControlOptions:
        """The flow control options."""

    def get_ll_opts(self) -> LinkLayerOptions:
        """The link layer options."""


class AnySocket(ABC):
    """The base of all ISO-TP sockets, those that block and those for asyncio.

    Args:
        end: the part that knows the link.
        timeout: seconds that a call may wait; None: without limit, 0: not at all.
        linger: seconds that a message being sent may stand still while `close` waits for it; None: without limit, 0:
            `close` does not wait.
    """

    flags = flags
    LinkLayerProtocol = LinkLayerProtocol
    # Simulated time has others of these.
    _clock: Clock = time
    _deadline_after: Callable[[float | None], Deadline] = staticmethod(Deadline.after)

    def __init__(self, end: End, timeout: float | None, linger: float | None) -> None:
        self._end = end
        self._timeout = checked_timeout(timeout)
        self._linger = checked_timeout(linger, "linger")

    # --- the link

    def bind(
        self,
        interface: str | Address | AsymmetricAddress | None = None,
        address: Address | AsymmetricAddress | None = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
    ) -> None:
        """Bind to a link; options can no longer be changed then.

        Args:
            interface: name of a CAN interface, such as "can0". It may be left out for a socket that was made for a bus;
                if it is given there, it is the name of that bus.
            address: the address of the link; or, for normal addressing, the two identifiers:
            rxid: CAN identifier of the frames received.
            txid: CAN identifier of the frames sent. Above 0x7FF, or with CAN_EFF_FLAG, it has 29 bits.

        Raises:
            InterfaceError: no such interface, not CAN, down, or not the one of the bus.
            AddressError: identifiers are out of range or equal, or the kernel does not support such an address.
            OptionError: options that contradict the address, the interface, or each other.
            AlreadyBoundError: the socket is bound already.

        Warns:
            DuplicateBindingWarning: another socket listens to the same identifier. Where that is an error
                (`python -W error`), the socket is not bound. The one case that a kernel socket misses: within one
                second after another `bind` of this process, the other socket came and as many receivers of CAN frames
                went.
        """
        if interface is not None and not isinstance(interface, str) and address is None:
            interface, address = None, interface
        if address is None:
            address = normal_address(rxid, txid)
        elif not isinstance(address, Address | AsymmetricAddress):
            raise TypeError(f"address must be an isotp.Address, not {address!r}; identifiers go as rxid=, txid=")
        elif rxid is not None or txid is not None:
            raise AddressError("an address and rxid/txid were both given: give one of them")
        if interface is not None and not isinstance(interface, str):
            raise TypeError(f"interface must be the name of a CAN interface, not {interface!r}")
        self._end.bind(interface, address)

    @property
    def bound(self) -> bool:
        """Whether the socket has an address."""
        return self._end.address is not None

    @property
    def interface(self) -> str | None:
        """The CAN interface or bus, once bound."""
        return self._end.interface

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""
        return self._end.address

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""
        return self._end.closed

    @property
    def dropped(self) -> int:
        """How many complete messages were dropped because they were not read in time."""
        return self._end.dropped

    def __repr__(self) -> str:
        link = self._end.link if self.bound else "unbound"
        return f"<isotp.{type(self).__name__} {link}{' closed' if self.closed else ''}>"

    # --- options

    def set_general_opts(self, optflags: int | None = None, **fields: Unpack[GeneralFields]) -> GeneralOptions:
        """Set general options; what is left out keeps its value.

        Args:
            optflags: all the flags (`isotp.opts.flags`); those left out of it are cleared.
            fields: see `isotp.opts.GeneralFields`: `frame_txtime`, `ext_address`, `txpad`, `rxpad`, `rx_ext_address`,
                `tx_stmin`, `rx_stmin`; times in nanoseconds.

        Raises:
            OptionError: a value out of range, flags that contradict each other, or that are not honoured here.
                Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        return self._end.set_general_opts(optflags, **fields)

    def set_opts(
        self,
        optflag: int | None = None,
        frame_txtime: int | None = None,
        ext_address: int | None = None,
        txpad: int | None = None,
        rxpad: int | None = None,
        rx_ext_address: int | None = None,
        tx_stmin: int | None = None,
    ) -> GeneralOptions:
        """The same as `set_general_opts`, with the arguments of can-isotp 2."""
        return self._end.set_general_opts(
            optflag,
            frame_txtime=frame_txtime,
            ext_address=ext_address,
            txpad=txpad,
            rxpad=rxpad,
            rx_ext_address=rx_ext_address,
            tx_stmin=tx_stmin,
        )

    def set_fc_opts(
        self, bs: int | None = None, stmin: int | None = None, wftmax: int | None = None
    ) -> FlowControlOptions:
        """Set the values of our flow control, which the sender has to keep; what is left out keeps its value.

        Args:
            bs: block size in frames, 0 to 255; 0: all in one block.
            stmin: the raw byte, 0 to 0x7F (ms) or 0xF1 to 0xF9 (100 us each); see `STmin.from_ms` and `STmin.from_us`.
            wftmax: WAIT frames in a row, 0 to 255. The kernel stores it and never uses it; the engine sends and
                accepts at most so many, and any number until it is set.

        Raises:
            OptionError: a value out of range. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        return self._end.set_fc_opts(bs, stmin, wftmax)

    def set_ll_opts(
        self, mtu: int | None = None, tx_dl: int | None = None, tx_flags: int | None = None
    ) -> LinkLayerOptions:
        """Choose Classical CAN or CAN FD; what is left out keeps its value.

        Args:
            mtu: `LinkLayerProtocol.CAN` or `LinkLayerProtocol.CAN_FD`.
            tx_dl: length of the longest frame sent: 8, 12, 16, 20, 24, 32, 48 or 64; above 8 for CAN FD only.
            tx_flags: `CANFD_BRS`, `CANFD_ESI` or both; for CAN FD only. The engine cannot send CANFD_ESI.

        Raises:
            OptionError: a value out of range, or one that the other values do not allow. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        return self._end.set_ll_opts(mtu, tx_dl, tx_flags)

    def get_general_opts(self) -> GeneralOptions:
        """The general options; times in nanoseconds."""
        return self._end.get_general_opts()

    def get_opts(self) -> GeneralOptions:
        """The same as `get_general_opts`, by the name of can-isotp 2."""
        return self._end.get_general_opts()

    def get_fc_opts(self) -> FlowControlOptions:
        """The flow control options."""
        return self._end.get_fc_opts()

    def get_ll_opts(self) -> LinkLayerOptions:
        """The link layer options."""
        return self._end.get_ll_opts()

    # --- how long calls may wait

    def settimeout(self, timeout: float | None) -> None:
        """Set how many seconds calls may wait; None: without limit, 0: not at all."""
        self._timeout = checked_timeout(timeout)

    def gettimeout(self) -> float | None:
        """The timeout in seconds, or None."""
        return self._timeout

    @property
    def timeout(self) -> float | None:
        """The timeout in seconds, or None."""
        return self.gettimeout()

    def setblocking(self, flag: bool) -> None:
        """Wait without limit (True) or not at all (False)."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Whether calls may wait."""
        return self.gettimeout() != 0

    def _deadline(self, msg_flags: int = 0) -> Deadline:
        """Until when a call that begins now may wait."""
        return NOW if msg_flags & MSG_DONTWAIT else Deadline.after(self.gettimeout())

    def _too_late(self, what: str, deadline: Deadline, remedy: str = "") -> OSError:
        """The error of a call whose deadline has passed."""
        if deadline.is_now:
            return BlockingIOError(errno.EAGAIN, what + remedy)
        return TimeoutError(f"{what} {deadline}{remedy}")

    @abstractmethod
    def abort(self) -> None:
        """Give up the message that is being sent, if there is one: its `send` raises TransferAbortedError.

        If the call that sent it did not wait, `confirm` raises that. Messages that wait for their turn are sent next.
        The receiver is not told: ISO-TP has no frame for it, and its N_Cr ends the message there. It does not wait, and
        any thread may call it.

        The engine stops at once; what the bus has already taken may still go out. The kernel cannot take back a
        message: there the call that sends it ends, and the kernel goes on with it until the receiver ends it or the
        socket is closed.

        Raises:
            SocketClosedError: the socket is closed.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the socket; calls that wait in it get SocketClosedError. Closing again does nothing.

        A message that is still being sent is waited for as long as it gets on; see `linger` of each socket. A send
        that was cancelled or timed out leaves such a message; `abort` gives it up.

        Warns:
            UnconfirmedSendWarning: a message failed or was given up, and no call asked for its outcome.
            MessagesDroppedWarning: messages were dropped since the last warning.
        """


class IsoTpSocket(AnySocket):
    """An ISO-TP socket whose calls block: `isotp.socket` (the kernel does the protocol) or `SoftSocket` (the engine).

    Threads may share it: sends go one after the other, each with its own outcome; each message goes to one receiver.
    """

    @abstractmethod
    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus.

        The socket's timeout limits how long the call waits for its turn, and how long the transfer may stand still: a
        message that gets on is waited for however long it takes. The timeout does not cut short what the protocol
        allows the receiver (`STANDSTILL_S`), so an absent receiver is a FlowControlTimeoutError.

        With `confirm=False`, and on a socket that does not block, it returns when the kernel or the engine has taken
        the message; `confirm()` raises its failure. A message is taken when the one before it has ended.

        Args:
            data: the message, any bytes-like object, from 1 byte to `max_pdu_size`.
            flags: MSG_DONTWAIT: do not block this time.
            confirm: whether to wait until the message is on the bus.

        Raises:
            TransferError: the message was not transferred; the class and `n_result` say why.
            TimeoutError: an earlier message is still being sent, so nothing was sent; or the receiver asks to wait and
                nothing gets on: the message is still being sent, see `confirm`.
            BlockingIOError: the socket does not block and an earlier message is still being sent; nothing was sent.
            MessageSizeError: the message is empty or too long.
            InterfaceError: the interface or bus is down, gone, or its transmit queue full.
        """

    @abstractmethod
    def confirm(self) -> None:
        """Wait until nothing is being sent, and raise the failure of a message whose sender did not wait for it.

        Its `send` had `confirm=False`, ended by its timeout, or was interrupted. Of several failures the first is
        raised, with a note that counts the others. A failure that no call has asked about becomes an
        UnconfirmedSendWarning when the socket is closed.

        Raises:
            TransferError: a message was not transferred.
            TimeoutError: a transfer stands still for longer than the timeout, see `send`.
            BlockingIOError: the socket does not block and a message is still being sent.
        """

    @abstractmethod
    def recv(self, bufsize: int | None = None, flags: int = 0, *, begins_within: float | None = None) -> bytes:
        """Receive one whole message.

        Args:
            bufsize: the longest message wanted, in bytes; None: any.
            flags: MSG_DONTWAIT, MSG_PEEK.
            begins_within: how many seconds to wait for the *first* frame of the message, in place of the socket's
                timeout. A message that has begun is waited for to its end or its failure, as long as its frames come.
                A kernel socket has to be made with `watch_begin=True` for that.

        Raises:
            TimeoutError: nothing arrived within the socket's timeout, or no message began within `begins_within`.
            BlockingIOError: the socket does not block and there is no message.
            TransferError: a message began to arrive and broke off; the class and `n_result` say why.
            ReceiveBufferTooSmallError: the message is longer than `bufsize`; it is kept.
            InterfaceError: the interface or bus went down or away.

        Warns:
            MessagesDroppedWarning: messages were dropped because they were not read in time.
        """

    @abstractmethod
    def recv_message(self, flags: int = 0, *, begins_within: float | None = None) -> ReceivedMessage:
        """Receive one message with the times of its first and last frame and the count of messages dropped before it.

        Args:
            flags: MSG_DONTWAIT, MSG_PEEK.
            begins_within: as of `recv`, in seconds.

        Raises:
            OSError: as `recv`.
        """

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
        view = _room_in(buffer, nbytes)
        data = self.recv(len(view), flags)
        view[: len(data)] = data
        return len(data)

    @abstractmethod
    def fileno(self) -> int:
        """A file descriptor for select and the like, readable when a message waits; -1 once closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncIsoTpSocket(AnySocket):
    """An ISO-TP socket for asyncio: `AsyncSocket` (the kernel does the protocol) or `AsyncSoftSocket` (the engine).

    Tasks may share it: sends go in the order of the calls, each with its own outcome, and messages go to receivers in
    the order in which they asked. Any call may be cancelled (`asyncio.timeout` included): a cancelled `recv` loses no
    message; after a cancelled `send` the message goes on, the next send waits for it, and `confirm` raises its failure.
    It belongs to the event loop whose tasks wait in it, and to no other thread.
    """

    @abstractmethod
    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus; see `IsoTpSocket.send`."""

    @abstractmethod
    async def confirm(self) -> None:
        """Wait until nothing is being sent, and raise the failure of a message whose sender did not wait for it.

        See `IsoTpSocket.confirm`; a cancelled `send` did not wait either.
        """

    @abstractmethod
    async def recv(self, bufsize: int | None = None, flags: int = 0, *, begins_within: float | None = None) -> bytes:
        """Receive one whole message; `begins_within` is in seconds, see `IsoTpSocket.recv`."""

    @abstractmethod
    async def recv_message(self, flags: int = 0, *, begins_within: float | None = None) -> ReceivedMessage:
        """Receive one message with the details that `IsoTpSocket.recv_message` has; `begins_within` is in seconds."""

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer` and return its length in bytes; see `IsoTpSocket.recv_into`."""
        view = _room_in(buffer, nbytes)
        data = await self.recv(len(view), flags)
        view[: len(data)] = data
        return len(data)

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until a closed socket is gone: until what it was sending when it was closed has ended.

        `async with` does that at its end.
        """

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
    """Failures of messages whose sender did not wait, until a call asks for them."""

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
        """The first failure remembered, with a note that counts the others; all are forgotten."""
        failure, others = self._first_failure, self.failures - 1
        self._first_failure, self.failures = None, 0
        if failure is not None and others > 0:
            failure.add_note(f"{others} more message(s) sent without confirmation failed after it")
        return failure

    def warn_of_failures(self) -> None:
        """Warn of failures that no call has asked about; the socket is being closed, so none can any more."""
        if failures := self.failures:
            warn(
                f"{failures} message(s) failed whose outcome no call asked about (sent with confirm=False, or the send "
                "was cancelled or timed out, which takes no message back: confirm() tells its outcome, abort() gives "
                f"it up, close waits for it); the first one: {self.take_failure()}",
                UnconfirmedSendWarning,
            )


def buffer_too_small(needed: int, given: int, link: str) -> ReceiveBufferTooSmallError:
    """The error of a message of `needed` bytes that does not fit."""
    error = ReceiveBufferTooSmallError(
        f"the message has {needed} bytes and the buffer {given}; it was kept",
        link=link,
        remedy="recv() without bufsize takes any message",
    )
    error.needed, error.given = needed, given
    return error


def _room_in(buffer: Any, nbytes: int) -> memoryview:
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


def checked_timeout(timeout: float | None, name: str = "timeout") -> float | None:
    """`timeout`, the argument `name`, in seconds as sockets keep it; None: no limit.

    Raises:
        ValueError: it is negative or not a number.
    """
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"{name}={timeout!r}: allowed is None (no limit), 0 (do not wait) or seconds")
    return None if timeout is not None and timeout > _LONGEST_S else timeout
