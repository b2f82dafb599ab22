"""SoftSocket: the interface and the promises of isotp.socket, over an engine of our own.

Theory of operation. All of a socket's state is guarded by the lock of its reactor. `send` hands a message to the
engine, makes a turn of the reactor, and waits for the outcome of just this message (`_Outgoing`); `recv` waits for
what the engine put into the inbox: messages and broken-off receptions, in the order they happened. When the inbox is
full the engine is not ready: it asks senders to wait, and only what it cannot refuse, single frames, is dropped.
"""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition
from typing import Any, Final

from ..address import Address, AsymmetricAddress, normal_address
from ..anysocket import (
    MSG_PEEK,
    CommonSocket,
    ReceivedMessage,
    UnconfirmedFailures,
    buffer_too_small,
    check_address,
)
from ..bus.base import Bus
from ..core.engine import Engine
from ..core.events import Direction, Event, MessageReceived, MessageSent, TransferFailed
from ..errors import (
    AlreadyBoundError,
    DuplicateBindingWarning,
    IsoTpError,
    MessagesDroppedWarning,
    NotBoundError,
    OneWayError,
    SocketClosedError,
    TransferError,
    warn,
)
from ..optflags import flags as optflags_
from .link import Link
from .options import Options
from .reactor import reactor_of

_INBOX_BYTES: Final = 256 * 1024
_ALL: Final = 1 << 30


class _Outgoing:
    """A message handed to the engine, and its outcome."""

    __slots__ = ("ended", "error", "is_awaited", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_awaited = True
        self.ended = False
        self.error: IsoTpError | None = None


class SoftSocket(Options, CommonSocket):
    """An ISO-TP socket in user space, for where the kernel has none.

    Set options, then `bind`, then `send` and `recv`, as with `isotp.socket`. Every send is confirmed unless asked
    otherwise, and every failure is raised by the call it belongs to. Threads may share it.

    Args:
        bus: where its frames go: `VirtualBus`, `SocketCanBus`, `PythonCanBus`, or your own. Any number of sockets
            may share it.
        timeout: seconds that `send`, `recv` and `confirm` may wait; None: without limit, 0: not at all.
        rcvbuf: bytes of messages to keep until they are read; beyond that senders are asked to wait.
        on_event: called with every event of the engine (`isotp.core.events`), such as progress. It runs in the
            thread of the bus and must not wait; what it raises comes out of the socket's next call.
    """

    def __init__(
        self,
        bus: Bus,
        timeout: float | None = None,
        *,
        rcvbuf: int = _INBOX_BYTES,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        Options.__init__(self)
        CommonSocket.__init__(self, timeout)
        self._bus = bus
        self._reactor = reactor_of(bus)
        self._lock = self._reactor.lock
        self._changed = Condition(self._lock)
        self._closed = False
        self._address: Address | AsymmetricAddress | None = None
        self._node: Link | None = None
        self._outgoing: _Outgoing | None = None
        self._unconfirmed = UnconfirmedFailures()
        self._inbox: deque[ReceivedMessage | IsoTpError] = deque()
        self._inbox_room = rcvbuf
        self._is_ready = True
        self._dropped = 0
        self._dropped_told = 0
        self._on_event_ = on_event
        self._callback_error: Exception | None = None

    def bind(
        self,
        address: Address | AsymmetricAddress | None = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
    ) -> None:
        """Bind to an address; options can no longer be changed then.

        Args:
            address: the address of the link; or, for normal addressing, the two identifiers:
            rxid: CAN identifier of the frames received.
            txid: CAN identifier of the frames sent. Above 0x7FF, or with CAN_EFF_FLAG, it has 29 bits.

        Raises:
            InterfaceError: the bus cannot be used.
            AddressError: identifiers out of range, equal, or contradicting the options.
            OptionError: options that contradict the bus or each other.
            AlreadyBoundError: the socket is bound already.

        Warns:
            DuplicateBindingWarning: another socket of this bus listens to the same.
        """
        with self._lock:
            self._check_open()
            if self._node is not None:
                raise AlreadyBoundError("the socket is bound already", link=self._link)
            check_address(address, rxid, txid)
            if address is None:
                address = normal_address(rxid, txid)
            engine = Engine(self._link_address(address), self.get_engine_opts())
            self._node = node = Link(engine, self._take_event, self._take_bus_failure)
            self._fixed = True
        try:
            others = self._reactor.add(node)  # without the lock: should it fail, a thread has to end
        except BaseException:
            self._node, self._fixed = None, False
            raise
        with self._lock:
            self._address = address
        if self._closed:  # meanwhile, by another thread
            self._reactor.remove(node)
            raise self._closed_error()
        if others and not self._general.optflags & optflags_.LISTEN_MODE:
            warn(
                f"{others} other socket(s) already listen to {engine.address.rx} on {self._bus.name}: all of them "
                "answer with flow control, and transfers will break; close the other one, or set LISTEN_MODE here to "
                "listen only",
                DuplicateBindingWarning,
            )

    # --- sending

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus.

        With `confirm=False` it returns when the engine has taken the message; `confirm()` then tells its outcome.
        The same holds for a socket that does not block. A message that follows waits for the one before it.

        Args:
            data: the message, any bytes-like object, from 1 byte to `max_pdu_size`.
            flags: MSG_DONTWAIT: do not block this time.
            confirm: whether to wait for the outcome.

        Raises:
            TransferError: the message did not get through; the class and `n_result` say why.
            TimeoutError: the socket's timeout passed first; the message is still being sent, see `confirm`.
            BlockingIOError: the socket does not block and an earlier message is still being sent; nothing was sent.
            MessageSizeError: the message is empty or too long.
            InterfaceError: the bus failed.
        """
        data = bytes(memoryview(data))
        with self._lock:
            engine = self._bound_node().engine
            deadline = self._deadline(flags)
            if engine.is_sending and not self._wait(lambda: not engine.is_sending, deadline):
                raise self._out_of_time(f"an earlier message is still being sent on {self._link}", deadline)
            half_duplex = engine.params.half_duplex
            if half_duplex and not self._wait(lambda: not (engine.is_sending or engine.is_receiving), deadline):
                raise self._out_of_time(f"a message is still being transferred on {self._link}", deadline)
            outgoing = _Outgoing(len(data))
            self._begin(engine, data, outgoing)
            try:
                if confirm or self._general.optflags & optflags_.WAIT_TX_DONE:
                    self._await_outcome(outgoing, deadline)
            finally:
                self._leave(outgoing)
        return len(data)

    def _begin(self, engine: Engine, data: bytes, outgoing: _Outgoing) -> None:
        try:
            engine.send(data, time.monotonic_ns())
        except IsoTpError as e:
            e.link = self._link
            raise
        self._outgoing = outgoing
        self._reactor.turn(self._node)

    def _await_outcome(self, outgoing: _Outgoing, deadline: float | None) -> None:
        if not outgoing.ended and not self._wait(lambda: outgoing.ended, deadline):
            if deadline == 0:
                return  # confirm() tells
            what = f"{outgoing.size} bytes are still being sent on {self._link}"
            raise self._out_of_time(what, deadline, "; confirm() waits for the outcome")
        outgoing.is_awaited = False
        error, outgoing.error = outgoing.error, None
        if error is not None:
            raise error

    def _leave(self, outgoing: _Outgoing) -> None:
        """Nobody waits for this message any more; whatever is not told yet is for `confirm`."""
        outgoing.is_awaited = False
        error, outgoing.error = outgoing.error, None
        self._unconfirmed.keep_failure(error)

    def confirm(self) -> None:
        """Wait until nothing is being sent, and raise the failure of a message sent with `confirm=False`.

        Of several failed ones the first is raised, with a note that counts the others; they are all told then.
        What nobody asked about is told by UnconfirmedSendWarning when the socket is closed.

        Raises:
            TransferError: a message did not get through.
            TimeoutError: the socket's timeout passed first.
            BlockingIOError: the socket does not block and a message is still being sent.
        """
        with self._lock:
            self._check_usable()
            deadline = self._deadline(0)
            if not self._wait(lambda: not self._is_sending(), deadline):
                raise self._out_of_time(f"a message is still being sent on {self._link}", deadline)
            failure = self._unconfirmed.take_failure()
        if failure is not None:
            raise failure

    def _is_sending(self) -> bool:
        return self._node is not None and self._node.engine.is_sending

    # --- receiving

    def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole.

        Args:
            bufsize: the longest message wanted, in bytes; None: any.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            TimeoutError: nothing arrived within the socket's timeout.
            BlockingIOError: the socket does not block and there is no message.
            TransferError: a message began to arrive and broke off; the class and `n_result` say why.
            ReceiveBufferTooSmallError: the message is longer than `bufsize`; it is kept.
            InterfaceError: the bus failed.

        Warns:
            MessagesDroppedWarning: messages were dropped because nobody read them.
        """
        return self._receive(bufsize, flags).data

    def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with the time of its last frame and the count of messages dropped before it.

        Raises:
            OSError: as `recv`.
        """
        message = self._receive(None, flags)
        self._dropped_told = max(self._dropped_told, message.dropped)
        return message

    def _receive(self, bufsize: int | None, flags: int) -> ReceivedMessage:
        with self._lock:
            if self._bound_node().rx is None:
                raise OneWayError(
                    "this address only sends",
                    link=self._link,
                    remedy="receive the answers on one socket for each receiver",
                )
            if not self._inbox:
                self._tell_dropped()
                deadline = self._deadline(flags)
                if not self._wait(lambda: self._inbox, deadline):
                    raise self._out_of_time(f"no message on {self._link}", deadline)
            first = self._inbox[0]
            if isinstance(first, IsoTpError):
                self._inbox.popleft()
                raise first
            if bufsize is not None and len(first.data) > bufsize:
                raise buffer_too_small(len(first.data), bufsize, self._link)
            if not flags & MSG_PEEK:
                self._inbox.popleft()
                self._make_room(len(first.data))
            return first

    def _make_room(self, size: int) -> None:
        self._inbox_room += size
        if not self._is_ready and self._inbox_room > 0 and self._node is not None:
            self._is_ready = True
            self._node.engine.set_ready(True, time.monotonic_ns())
            self._reactor.turn(self._node)

    # --- what the reactor tells, with the lock held

    def _take_event(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self._store(event.data)
        elif isinstance(event, MessageSent):
            self._end(None)
        elif isinstance(event, TransferFailed):
            event.error.link = self._link
            if event.direction is Direction.SENDING:
                self._end(event.error)
            else:
                self._store_failure(event.error)
        if self._on_event_ is not None:
            self._reactor.call(partial(self._call_back, event))
        self._changed.notify_all()

    def _store(self, data: bytes) -> None:
        if self._inbox_room <= 0:
            self._dropped += 1
            return
        self._inbox.append(ReceivedMessage(data, time.time_ns(), self._dropped))
        self._inbox_room -= len(data)
        if self._inbox_room <= 0 and self._node is not None:
            self._is_ready = False
            self._node.engine.set_ready(False, time.monotonic_ns())

    def _store_failure(self, error: IsoTpError) -> None:
        """As in the kernel, of failures that nobody read only the latest is kept."""
        if self._inbox and isinstance(self._inbox[-1], IsoTpError):
            self._inbox.pop()
        self._inbox.append(error)

    def _end(self, error: IsoTpError | None) -> None:
        """The message being sent has ended."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is None:
            return
        outgoing.ended = True
        if outgoing.is_awaited:
            outgoing.error = error
        else:
            self._unconfirmed.keep_failure(error)

    def _take_bus_failure(self, error: IsoTpError) -> None:
        """The bus failed: what was under way is lost, and this is why."""
        node = self._node
        if node is None:
            return
        was_sending, was_receiving = node.engine.is_sending, node.engine.is_receiving
        node.engine.abort(TransferError(error.what))
        node.engine.frame_sent(time.monotonic_ns(), _ALL)  # none of them will be confirmed any more
        while node.engine.next_event() is not None:
            pass
        if was_sending:
            self._end(error)
        if was_receiving or not was_sending:
            self._store_failure(error)
        self._changed.notify_all()

    def _call_back(self, event: Event) -> None:
        assert self._on_event_ is not None
        try:
            self._on_event_(event)
        except Exception as e:
            with self._lock:
                self._callback_error = e
                self._changed.notify_all()

    # --- waiting

    def _wait(self, condition: Callable[[], object], deadline: float | None) -> bool:
        """Wait until `condition()`; False if `deadline` (monotonic seconds) passed first. The lock is held."""
        while not condition():
            self._check_usable()
            seconds = None if deadline is None else deadline - time.monotonic()
            if seconds is not None and seconds <= 0:
                return False
            self._changed.wait(seconds)
        if self._closed:
            raise self._closed_error()
        return True

    def _check_usable(self) -> None:
        """Raise what keeps any call from going on."""
        self._check_open()
        error, self._callback_error = self._callback_error, None
        if error is not None:
            raise error
        if self._node is not None and self._reactor.failure is not None:
            raise self._reactor.failure

    def _bound_node(self) -> Link:
        self._check_usable()
        if self._node is None or not self.bound:
            raise NotBoundError("the socket is not bound", remedy="bind(rxid=..., txid=...) first")
        return self._node

    def _tell_dropped(self) -> None:
        if self._dropped > self._dropped_told:
            lost, self._dropped_told = self._dropped - self._dropped_told, self._dropped
            warn(
                f"{lost} message(s) were dropped on {self._link}: nobody read them; read sooner, or give the socket a "
                "bigger buffer (rcvbuf=...)",
                MessagesDroppedWarning,
            )

    # --- what it tells of itself

    @property
    def bound(self) -> bool:
        """Whether the socket has an address."""
        return self._address is not None

    @property
    def bus(self) -> Bus:
        """The bus it was made for."""
        return self._bus

    @property
    def interface(self) -> str | None:
        """The name of the bus, once bound."""
        return self._bus.name if self.bound else None

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""
        return self._address

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""
        return self._closed

    @property
    def dropped(self) -> int:
        """How many complete messages were dropped because nobody read them."""
        return self._dropped

    @property
    def _link(self) -> str:
        return f"{self._bus.name} {self._address}" if self._address else "an unbound socket"

    def _closed_error(self) -> SocketClosedError:
        return SocketClosedError("the socket is closed", link=self._link if self._address else None)

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

    def __repr__(self) -> str:
        name = self._link if self._address else "unbound"
        return f"<isotp.{type(self).__name__} {name}{' closed' if self._closed else ''}>"

    # --- closing

    def close(self) -> None:
        """Close the socket; who waits in `send` or `recv` gets SocketClosedError. Closing again does nothing.

        It waits for a message that is still being sent, as the kernel does, unless a callback closes the socket.

        Warns:
            UnconfirmedSendWarning: a message sent with `confirm=False` failed, and nobody asked for its outcome.
            MessagesDroppedWarning: messages were dropped since that was last told.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
            if not self._reactor.is_inside():
                while self._is_sending() and self._reactor.failure is None:
                    self._changed.wait()
        if self._node is not None:
            self._reactor.remove(self._node)
        try:
            self._tell_dropped()
        finally:
            self._unconfirmed.tell_failures()
