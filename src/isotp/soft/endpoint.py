"""One end of a link in user space: what the blocking and the asyncio socket have in common, all but the waiting.

Theory of operation. All of an endpoint's state is guarded by the lock of its hub. A message handed to the engine is
an `Outgoing`, which gets its outcome when the engine tells it; what the engine receives goes to the inbox. When the
inbox is full the engine is not ready: it asks senders to wait, and only what it cannot refuse, single frames, is
dropped. After whatever happens `_changed` is called, and those who wait look again.

The hub holds an endpoint only weakly: one that is forgotten without `close` does not stay for ever.
"""

import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from ..address import Address, AsymmetricAddress, normal_address
from ..bus.base import Bus
from ..engine.engine import Engine
from ..engine.events import Direction, Event, MessageReceived, MessageSent, TransferFailed
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
from ..opts.optflags import flags as optflags_
from ..sockets import MSG_PEEK, ReceivedMessage, UnconfirmedFailures, buffer_too_small, check_address
from ..stmin import STmin
from .hub import Hub
from .inbox import Inbox
from .interrupts import put_off
from .link import Link
from .options import Options

INBOX_BYTES: Final = 256 * 1024
_ALL: Final = 1 << 30
_LONGEST_STMIN_NS: Final = STmin(0x7F).ns


class Outgoing:
    """A message handed to the engine, and its outcome."""

    __slots__ = ("ended", "error", "is_awaited", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_awaited = True
        self.ended = False
        self.error: IsoTpError | None = None

    def take_outcome(self) -> None:
        """Raise the failure if there is one; it is told then."""
        self.is_awaited = False
        error, self.error = self.error, None
        if error is not None:
            raise error


class Endpoint(Options):
    """One end of a link on a bus.

    Args:
        bus: where the frames go.
        hub: of that bus.
        rcvbuf: bytes of messages to keep until they are read.
        on_event: called with every event of the engine.
    """

    def __init__(self, bus: Bus, hub: Hub, rcvbuf: int, on_event: Callable[[Event], object] | None) -> None:
        super().__init__()
        self._inbox = Inbox(rcvbuf)
        self._bus = bus
        self._hub = hub
        self._closed = False
        self._address: Address | AsymmetricAddress | None = None
        self._node: Link | None = None
        self._outgoing: Outgoing | None = None
        self._unconfirmed = UnconfirmedFailures()
        self._is_ready = True
        self._dropped_told = 0
        self._event_callback = on_event
        self._callback_error: Exception | None = None

    def _something_changed(self) -> None:
        """Let those who wait look again."""
        raise NotImplementedError

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
        with self._hub.lock:
            self._check_open()
            if self._node is not None:
                raise AlreadyBoundError("the socket is bound already", link=self._link)
            check_address(address, rxid, txid)
            if address is None:
                address = normal_address(rxid, txid)
            engine = Engine(self._link_address(address), self.get_engine_opts())
            self._node = node = _weakly_linked(self, engine)
            self._fixed = True
        try:
            others = self._hub.add(node)  # without the lock: should it fail, a thread has to end
        except BaseException:
            self._node, self._fixed = None, False
            self._hub.remove(node)
            raise
        with self._hub.lock:
            self._address = address
        if self._closed:  # meanwhile, by another thread
            self._hub.remove(node)
            raise self._closed_error()
        answers = engine.address.tx is not None and not self._general.optflags & optflags_.LISTEN_MODE
        if others and answers:
            warn(
                f"{others} other socket(s) already listen to {engine.address.rx} on {self._bus.name}: all of them "
                "answer with flow control, and transfers will break; close the other one, or set LISTEN_MODE here to "
                "listen only",
                DuplicateBindingWarning,
            )

    # --- sending, with the lock held

    def _begin(self, data: bytes) -> Outgoing:
        """Hand a message to the engine; nothing may be in its way."""
        node = self._bound_node()
        self._check_usable()
        outgoing = Outgoing(len(data))
        with put_off():
            try:
                node.engine.send(data, self._hub.clock())
            except IsoTpError as e:
                e.link = self._link
                raise
            self._outgoing = outgoing
            self._hub.turn(node)
        return outgoing

    def _leave(self, outgoing: Outgoing) -> None:
        """Nobody waits for this message any more; whatever is not told yet is for `confirm`."""
        outgoing.is_awaited = False
        error, outgoing.error = outgoing.error, None
        self._unconfirmed.keep_failure(error)

    @property
    def _awaits_each(self) -> bool:
        """Whether every send is confirmed."""
        return bool(self._general.optflags & optflags_.WAIT_TX_DONE)

    @property
    def _is_sending(self) -> bool:
        return self._node is not None and self._node.engine.is_sending

    @property
    def _may_not_send(self) -> str:
        """What is in the way of a new message; empty if nothing is."""
        engine = self._bound_node().engine
        if engine.is_sending:
            size = f" ({self._outgoing.size} bytes)" if self._outgoing else ""
            return f"an earlier message{size} is still being sent on {self._link}"
        if engine.params.half_duplex and engine.is_receiving:
            return f"a message is still being received on {self._link}"
        return ""

    # --- receiving, with the lock held

    def _check_receives(self) -> None:
        if self._bound_node().rx is None:
            raise OneWayError(
                "this address only sends",
                link=self._link,
                remedy="receive the answers on one socket for each receiver",
            )

    def _take_first(self, bufsize: int | None, flags: int) -> ReceivedMessage:
        """The oldest message in the inbox, which must not be empty."""
        first = self._inbox.first()
        if bufsize is not None and len(first.data) > bufsize:
            raise buffer_too_small(len(first.data), bufsize, self._link)
        if flags & MSG_PEEK:
            return first
        self._inbox.drop_first()
        if not self._is_ready and not self._inbox.is_full:
            with put_off():
                self._set_ready(True)
                self._hub.turn(self._node)
        return first

    def _set_ready(self, ready: bool) -> None:
        self._is_ready = ready
        if self._node is not None:
            self._node.engine.set_ready(ready, self._hub.clock())

    def _tell_dropped(self) -> None:
        """Warn of messages dropped since last told."""
        dropped = self._inbox.dropped
        if dropped > self._dropped_told:
            lost, self._dropped_told = dropped - self._dropped_told, dropped
            warn(
                f"{lost} message(s) were dropped on {self._link}: nobody read them; read sooner, or give the socket a "
                "bigger buffer (rcvbuf=...)",
                MessagesDroppedWarning,
            )

    # --- what the hub tells, with the lock held

    def _take_event(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self._inbox.put(event.data, time.time_ns())
            if self._inbox.is_full and self._is_ready:
                self._set_ready(False)
        elif isinstance(event, MessageSent):
            self._end(None)
        elif isinstance(event, TransferFailed):
            event.error.link = self._link
            if event.direction is Direction.SENDING:
                self._end(event.error)
            else:
                self._inbox.put_failure(event.error)
        if self._event_callback is not None:
            self._hub.call(partial(self._call_back, event))
        self._something_changed()

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
        while (event := node.engine.next_event()) is not None:  # what came before it
            self._take_event(event)
        was_sending, was_receiving = node.engine.is_sending, node.engine.is_receiving
        node.engine.abort(TransferError(error.what))
        node.engine.frame_sent(self._hub.clock(), _ALL)  # none of them will be confirmed any more
        while node.engine.next_event() is not None:
            pass
        if was_sending:
            self._end(error)
        if was_receiving or not was_sending:
            self._inbox.put_failure(error)
        self._something_changed()

    def _call_back(self, event: Event) -> None:
        assert self._event_callback is not None
        try:
            self._event_callback(event)
        except Exception as e:
            with self._hub.lock:
                self._callback_error = e
                self._something_changed()

    # --- may it be used

    def _check_usable(self) -> None:
        """Raise what keeps any call from going on."""
        self._check_open()
        self._tell_callback_error()
        if self._node is not None and self._hub.has_failed:
            raise self._hub.failure()

    def _tell_callback_error(self) -> None:
        error, self._callback_error = self._callback_error, None
        if error is not None:
            raise error

    def _bound_node(self) -> Link:
        self._check_open()
        self._tell_callback_error()
        if self._node is None or not self.bound:
            raise NotBoundError("the socket is not bound", remedy="bind(rxid=..., txid=...) first")
        return self._node

    def _closed_error(self) -> SocketClosedError:
        return SocketClosedError("the socket is closed", link=self._link if self._address else None)

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed_error()

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
        return self._inbox.dropped

    @property
    def _link(self) -> str:
        return f"{self._bus.name} {self._address}" if self._address else "an unbound socket"

    def __repr__(self) -> str:
        name = self._link if self._address else "unbound"
        return f"<isotp.{type(self).__name__} {name}{' closed' if self._closed else ''}>"

    # --- closing

    def _finish_sending(self) -> Iterator[float]:
        """Wait for the message being sent as long as it gets on: every frame has its time limit, WAITs have none.

        Yields how many seconds to wait for a change before the next look.
        """
        node = self._node
        if node is None:
            return
        params = node.engine.params
        longest_ns = params.n_as_ns + params.n_bs_ns + max(_LONGEST_STMIN_NS, params.forced_tx_stmin_ns or 0)
        done, since_ns = -1, 0
        while self._is_sending and not self._hub.has_failed:
            now_ns = self._hub.clock()
            if node.engine.bytes_sent != done:
                done, since_ns = node.engine.bytes_sent, now_ns
            left_ns = since_ns + longest_ns - now_ns
            if left_ns <= 0:
                self._give_up_sending(f"the socket was closed after {done} bytes, the receiver asks to wait")
                return
            yield left_ns / 1e9

    def _give_up_sending(self, why: str) -> None:
        if self._node is not None:
            self._node.engine.abort(TransferError(why))
            self._hub.turn(self._node)

    def _tell_last(self) -> None:
        """Warn of what nobody asked about, now that nobody can any more."""
        try:
            self._tell_dropped()
        finally:
            self._unconfirmed.tell_failures()

    def _is_forgotten(self) -> bool:
        """Whether it is bound and not closed, and nobody has it any more; for `__del__`."""
        return getattr(self, "_node", None) is not None and not self._closed


def _weakly_linked(endpoint: Endpoint, engine: Engine) -> Link:
    """The link of `endpoint`, which does not keep it alive."""
    reference: weakref.ref[Any] = weakref.ref(endpoint)

    def tell_event(event: Event) -> None:
        target = reference()
        if target is not None:
            target._take_event(event)

    def tell_failure(error: IsoTpError) -> None:
        target = reference()
        if target is not None:
            target._take_bus_failure(error)

    return Link(engine, tell_event, tell_failure)
