"""One end of a link in user space: what `SoftSocket` and `AsyncSoftSocket` have in common, all but how calls wait.

Messages to be sent wait in a queue for their turn at the engine; what the engine receives goes to the inbox. When the
inbox is full the engine is not ready: it asks senders to wait, and only what it cannot refuse, single frames, is
dropped.

The methods under "in the driver's thread" are called by nothing else. The hub holds an end only weakly: a socket that
is forgotten without `close` does not stay for ever.
"""

import errno
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Generic, Protocol, Self, TypeVar, Unpack

from ..address import Address, AsymmetricAddress
from ..bus.base import Bus
from ..engine.engine import Engine
from ..engine.events import Direction, Event, MessageReceived, MessageSent, TransferFailed
from ..engine.params import Params
from ..errors import (
    AlreadyBoundError,
    BusyError,
    DuplicateBindingWarning,
    InterfaceError,
    IsoTpError,
    MessagesDroppedWarning,
    NotBoundError,
    OneWayError,
    SocketClosedError,
    TransferError,
    warn,
)
from ..opts.optflags import flags
from ..opts.records import FlowControlOptions, GeneralFields, GeneralOptions, LinkLayerOptions, options_are_fixed
from ..sockets import MSG_PEEK, ReceivedMessage, UnconfirmedFailures
from ..stmin import STmin
from .hub import Hub
from .inbox import Inbox
from .link import Link
from .options import EngineFields, Options
from .request import Outgoing, Request

INBOX_BYTES: Final = 256 * 1024
_LONGEST_STMIN_NS: Final = STmin(0x7F).ns

T = TypeVar("T")


class Driver(Protocol):
    """What serves a link, in a thread or in an event loop."""

    hub: Hub

    @classmethod
    def serving(cls, bus: Bus, link: Link) -> Self:
        """The driver of `bus`; it serves `link` from now on."""

    def release(self, link: Link) -> None:
        """Serve `link` no more."""

    def post(self, function: Callable[[], object]) -> None:
        """Call `function` soon, in the driver's thread; from any thread."""

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` in the driver's thread, and return what it returns."""

    @property
    def is_current(self) -> bool:
        """Whether this is a callback, which cannot wait for the driver."""


D = TypeVar("D", bound=Driver)


class SoftEnd(Generic[D]):
    """One end of a link on a bus.

    Args:
        bus: where the frames go.
        driver: the kind of driver that serves it.
        rcvbuf: bytes of messages to keep until they are read.
        on_event: called with every event of the engine.
    """

    def __init__(self, bus: Bus, driver: type[D], rcvbuf: int, on_event: Callable[[Event], object] | None) -> None:
        self.bus = bus
        self.inbox = Inbox(rcvbuf)
        self.closed = False
        self.address: Address | AsymmetricAddress | None = None
        self._driver_kind = driver
        self.served_by: D | None = None
        """The driver, once bound."""
        self._link: Link | None = None
        self._options = Options()
        self._requests: deque[Request[Any]] = deque()  # that wait for their turn
        self._outgoing: Outgoing[Any] | None = None  # the message that the engine is sending
        self._failed: list[Request[Any]] = []  # whose failure no call has raised yet
        self._unconfirmed = UnconfirmedFailures()
        self._is_ready = True
        self._dropped_warned = 0
        self._on_event = on_event
        self._callback_error: Exception | None = None

    # --- what a socket shows, see `sockets.End`

    @property
    def interface(self) -> str | None:
        """The name of the bus, once bound."""
        return None if self.address is None else self.bus.name

    @property
    def link(self) -> str:
        """The link in words, for errors."""
        return "an unbound socket" if self.address is None else f"{self.bus.name} {self.address}"

    @property
    def dropped(self) -> int:
        """How many complete messages were dropped because nobody read them."""
        return self.inbox.dropped

    def set_general_opts(self, optflags: int | None, **fields: Unpack[GeneralFields]) -> GeneralOptions:
        """See `AnySocket`."""
        return self._writable_options().set_general(optflags, **fields)

    def set_fc_opts(self, bs: int | None, stmin: int | None, wftmax: int | None) -> FlowControlOptions:
        """See `AnySocket`."""
        return self._writable_options().set_flow_control(bs, stmin, wftmax)

    def set_ll_opts(self, mtu: int | None, tx_dl: int | None, tx_flags: int | None) -> LinkLayerOptions:
        """See `AnySocket`."""
        return self._writable_options().set_link_layer(mtu, tx_dl, tx_flags)

    def set_engine_opts(self, **fields: Unpack[EngineFields]) -> Params:
        """See `SoftSocket`."""
        return self._writable_options().set_engine(**fields)

    def get_general_opts(self) -> GeneralOptions:
        """See `AnySocket`."""
        return self._open_options().general

    def get_fc_opts(self) -> FlowControlOptions:
        """See `AnySocket`."""
        return self._open_options().flow_control

    def get_ll_opts(self) -> LinkLayerOptions:
        """See `AnySocket`."""
        return self._open_options().link_layer

    def get_engine_opts(self) -> Params:
        """All parameters as the engine has them; times in nanoseconds."""
        return self._open_options().params

    def _open_options(self) -> Options:
        self.check_open()
        return self._options

    def _writable_options(self) -> Options:
        self.check_open()
        if self._link is not None:
            raise options_are_fixed()
        return self._options

    # --- binding

    def bind(self, interface: str | None, address: Address | AsymmetricAddress) -> None:
        """See `AnySocket`; `interface`, if it is given, must be the bus's own."""
        self.check_open()
        if self._link is not None:
            raise AlreadyBoundError("the socket is bound already", link=self.link)
        if interface not in (None, self.bus.name):
            raise InterfaceError(
                f"this socket was made for the bus {self.bus.name!r}, not {interface!r}",
                remedy="leave the interface out of bind, or make the socket for another bus",
            )
        engine = Engine(self._options.link_address(address), self._options.params)
        link = Link(engine, _WeakOwner(self))
        self._warn_of_others(engine)
        self._link, self.address = link, address  # from here on options are fixed
        try:
            self.served_by = self._driver_kind.serving(self.bus, link)
        except BaseException:
            self._link = self.address = None
            raise
        if self.closed:  # meanwhile, by another thread
            self.served_by.release(link)
            raise self.closed_error()

    def _warn_of_others(self, engine: Engine) -> None:
        driver = self.bus.driver
        others = driver.hub.listeners(engine.address.rx) if driver is not None else 0
        if others and engine.address.tx is not None and not engine.params.listen_only:
            warn(
                f"{others} other socket(s) already listen to {engine.address.rx} on {self.bus.name}: all of them "
                "answer with flow control, and transfers will break; close the other one, or set LISTEN_MODE here to "
                "listen only",
                DuplicateBindingWarning,
            )

    # --- for the calls of the socket, from their thread

    @property
    def driver(self) -> D:
        """What serves the link.

        Raises:
            SocketClosedError, NotBoundError, InterfaceError: the socket cannot be used.
        """
        self.check_usable()
        if self.served_by is None or self.address is None:
            raise NotBoundError("the socket is not bound", remedy="bind(rxid=..., txid=...) first")
        return self.served_by

    def check_open(self) -> None:
        """Raise SocketClosedError if the socket is closed."""
        if self.closed:
            raise self.closed_error()

    def check_usable(self) -> None:
        """Raise what keeps any call from going on; the exception of a callback, too, and once."""
        self.check_open()
        self._raise_callback_error()
        if self.served_by is not None and self.served_by.hub.has_failed:
            raise self.served_by.hub.failure()

    def _raise_callback_error(self) -> None:
        error, self._callback_error = self._callback_error, None
        if error is not None:
            raise error

    def check_receives(self) -> None:
        """Raise what keeps a call from receiving. Messages that came before the bus failed can still be read."""
        self._raise_callback_error()
        if self.closed or not self.inbox:
            self.driver  # noqa: B018 - raises
        if self._link is not None and self._link.rx is None:
            raise OneWayError(
                "this address only sends", link=self.link, remedy="receive the answers on one socket for each receiver"
            )

    @property
    def is_in_callback(self) -> bool:
        """Whether this is a callback, where the driver would wait for itself."""
        return self.served_by is not None and self.served_by.is_current

    def check_may_wait(self) -> None:
        """Raise BusyError in a callback."""
        if self.is_in_callback:
            raise BusyError(
                "a callback of the bus cannot wait for it",
                link=self.link,
                remedy="send(..., confirm=False), or leave it to another thread",
            )

    def closed_error(self) -> SocketClosedError:
        """The error of a call on a closed socket."""
        return SocketClosedError("the socket is closed", link=None if self.address is None else self.link)

    def take(self, bufsize: int | None, msg_flags: int) -> ReceivedMessage | None:
        """The oldest message of the inbox; None if there is none."""
        message = self.inbox.take(bufsize, self.link, peek=bool(msg_flags & MSG_PEEK))
        if message is not None and not self._is_ready and not self.inbox.is_full and self.served_by is not None:
            self.served_by.post(self._become_ready)
        return message

    def warn_of_dropped(self) -> None:
        """Warn of messages dropped since the last warning."""
        dropped = self.inbox.dropped
        if dropped > self._dropped_warned:
            lost, self._dropped_warned = dropped - self._dropped_warned, dropped
            warn(
                f"{lost} message(s) were dropped on {self.link}: nobody read them; read sooner, or give the socket a "
                "bigger buffer (rcvbuf=...)",
                MessagesDroppedWarning,
            )

    def know_dropped(self, message: ReceivedMessage) -> None:
        """`message` was returned with its count of dropped ones: no warning is due for those."""
        self._dropped_warned = max(self._dropped_warned, message.dropped)

    @property
    def awaits_each(self) -> bool:
        """Whether every send is confirmed."""
        return bool(self._options.general.optflags & flags.WAIT_TX_DONE)

    def still_sending(self) -> str:
        """What a message that has not begun is waiting for, in words."""
        if self.is_sending or self._link is None:
            size = f" ({len(self._outgoing.data)} bytes)" if self._outgoing else ""
            return f"an earlier message{size} is still being sent on {self.link}"
        return f"a message is still being received on {self.link}"

    # --- closing

    def refuse_calls(self) -> None:
        """End the calls that wait in the socket, which is being closed. The message being sent goes on."""
        if self.served_by is not None:
            self.served_by.call(self._refuse_calls)

    @property
    def is_sending(self) -> bool:
        """Whether a message is being sent, or the end of one is still to be taken from the engine."""
        return self._outgoing is not None

    def patience(self) -> Iterator[float]:
        """How long `close` waits for the message that is being sent: as long as it gets on.

        Every frame has its time limit, WAITs have none. Yields how many seconds to wait for its end before the next
        look; when it ends and the message is still being sent, it is to be given up.
        """
        link = self._link
        if link is None or self.served_by is None:
            return
        hub, params = self.served_by.hub, link.engine.params
        longest_ns = params.n_as_ns + params.n_bs_ns + max(_LONGEST_STMIN_NS, params.forced_tx_stmin_ns or 0)
        done, since_ns = -1, 0
        while self.is_sending and not hub.has_failed:
            now_ns = hub.clock()
            if link.engine.bytes_sent != done:
                done, since_ns = link.engine.bytes_sent, now_ns
            left_ns = since_ns + longest_ns - now_ns
            if left_ns <= 0:
                return
            yield left_ns / 1e9

    def leave(self, why: str) -> None:
        """Be served no more, and warn of what no call asked about, now that none can any more.

        `why` a message that is still being sent is given up.
        """
        if self.served_by is not None and self._link is not None:
            self.served_by.call(partial(self._give_up_sending, why))
            self.served_by.release(self._link)
        self.inbox.close()
        self._settle()
        try:
            self.warn_of_dropped()
        finally:
            self._unconfirmed.warn_of_failures()

    def abandon(self) -> None:
        """Be served no more: the socket is forgotten. From anywhere, a garbage collection included."""
        self.closed = True
        if self.served_by is not None and self._link is not None:
            self.served_by.post(partial(self.served_by.release, self._link))

    # --- in the driver's thread

    def submit(self, request: Request[Any], may_wait: bool) -> None:
        """Let `request` begin in its turn; without `may_wait` now or never."""
        if self.closed:
            request.end(self.closed_error())
            return
        self._requests.append(request)
        self._begin_next()
        if not request.has_begun and not may_wait:
            self._requests.remove(request)
            request.end(BlockingIOError(errno.EAGAIN, self.still_sending()))

    def cancel(self, request: Request[Any]) -> bool:
        """Forget a request that has not begun; False if it has."""
        if request not in self._requests:
            return False
        self._requests.remove(request)
        return True

    def _refuse_calls(self) -> None:
        while self._requests:
            self._requests.popleft().end(self.closed_error())
        if self._outgoing is not None:
            self._outgoing.wakeup.wake()
        self.inbox.wake()

    def _give_up_sending(self, why: str) -> None:
        if self._link is None:
            return
        self._take_events()
        if self.is_sending:
            engine = self._link.engine
            engine.abort(TransferError(f"the socket was closed after {engine.bytes_sent} bytes were sent: {why}"))
            self._take_events()

    def _take_events(self) -> None:
        assert self._link is not None
        while (event := self._link.engine.next_event()) is not None:
            self.on_event(event)

    def _begin_next(self) -> None:
        """Begin with the requests whose turn has come."""
        link = self._link
        assert link is not None
        engine, hub = link.engine, link.hub
        while self._requests and not self.is_sending:
            request = self._requests[0]
            if isinstance(request, Outgoing) and engine.params.half_duplex and engine.is_receiving:
                return
            self._requests.popleft()
            self._settle()
            if hub.has_failed:
                request.end(hub.failure())
            elif isinstance(request, Outgoing):
                self._send(request, engine, hub.clock())
                hub.touch(link)
            else:
                self._end(request, self._unconfirmed.take_failure())

    def _send(self, outgoing: Outgoing[Any], engine: Engine, now: int) -> None:
        try:
            engine.send(outgoing.data, now)
        except IsoTpError as e:
            e.link = self.link
            outgoing.end(e)
        else:
            self._outgoing = outgoing
            outgoing.begin()

    def _end(self, request: Request[Any], error: IsoTpError | None) -> None:
        if error is not None:
            self._failed.append(request)
        request.end(error)

    def _settle(self) -> None:
        """Keep for `confirm` the failures that no call has raised and none waits for any more."""
        open_ones = [request for request in self._failed if not request.was_raised]
        self._failed = [request for request in open_ones if request.is_awaited]
        for request in open_ones:
            if not request.is_awaited and isinstance(request.error, IsoTpError):
                self._unconfirmed.keep_failure(request.error)

    def _become_ready(self) -> None:
        self._set_ready(not self.inbox.is_full)

    def _set_ready(self, ready: bool) -> None:
        self._is_ready = ready
        if self._link is not None:
            self._link.engine.set_ready(ready, self._link.hub.clock())
            self._link.hub.touch(self._link)

    def on_event(self, event: Event) -> None:
        """See `Owner`."""
        if isinstance(event, MessageReceived):
            self.inbox.put(event.data, time.time_ns())
            if self.inbox.is_full and self._is_ready:
                self._set_ready(False)
        elif isinstance(event, MessageSent):
            self._end_outgoing(None)
        elif isinstance(event, TransferFailed):
            event.error.link = self.link
            if event.direction is Direction.SENDING:
                self._end_outgoing(event.error)
            else:
                self.inbox.put_failure(event.error)
        if self._on_event is not None and self._link is not None:
            self._link.hub.driver.call_later(partial(self._call_back, self._on_event, event))
        if self._requests:
            self._begin_next()

    def _end_outgoing(self, error: IsoTpError | None) -> None:
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            self._end(outgoing, error)
        if self.closed:
            self.inbox.wake()

    def on_bus_failure(self, error: InterfaceError) -> None:
        """See `Owner`: what was under way is lost, and this is why."""
        assert self._link is not None
        self._take_events()  # what came before it
        error.link = self.link
        engine = self._link.engine
        was_sending, was_receiving = engine.is_sending, engine.is_receiving
        engine.reset()
        if was_sending:
            self._end_outgoing(error)
        if was_receiving or not was_sending:
            self.inbox.put_failure(error)
        if self._requests:
            self._begin_next()

    def _call_back(self, callback: Callable[[Event], object], event: Event) -> None:
        try:
            callback(event)
        except Exception as e:
            self._callback_error = e
            self.inbox.wake()


class _WeakOwner:
    """Passes on to an end what the hub says, without keeping the end alive."""

    def __init__(self, end: "SoftEnd[Any]") -> None:
        self._end = weakref.ref(end)

    def on_event(self, event: Event) -> None:
        """See `Owner`."""
        if (end := self._end()) is not None:
            end.on_event(event)

    def on_bus_failure(self, error: InterfaceError) -> None:
        """See `Owner`."""
        if (end := self._end()) is not None:
            end.on_bus_failure(error)


def checked_bus(bus: object) -> Bus:
    """`bus`, or TypeError if it is none."""
    if not isinstance(bus, Bus):
        raise TypeError(
            f"bus must be an isotp.bus.Bus, not {bus!r}: VirtualBus() in this process, SocketCanBus('can0') on Linux, "
            "PythonCanBus(can.Bus(...)) for other adapters, or a class derived from isotp.bus.Bus"
        )
    return bus
