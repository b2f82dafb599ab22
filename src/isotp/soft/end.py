"""SoftEnd: all that `SoftSocket` and `AsyncSoftSocket` have in common. The sockets only add how their calls wait.

What is done in the driver's thread is in `bound`.
"""

import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Generic, TypeVar, Unpack

from ..address import Address, AsymmetricAddress
from ..bus.base import Bus
from ..engine.engine import Engine
from ..engine.events import Event
from ..engine.params import Params
from ..errors import (
    AlreadyBoundError,
    BusyError,
    DuplicateBindingWarning,
    InterfaceError,
    MessagesDroppedWarning,
    NotBoundError,
    OneWayError,
    SocketClosedError,
    warn,
)
from ..opts.optflags import flags
from ..opts.records import FlowControlOptions, GeneralFields, GeneralOptions, LinkLayerOptions, options_are_fixed
from ..sockets import MSG_PEEK, ReceivedMessage
from .bound import Bound
from .driver import Driver
from .inbox import Inbox
from .options import EngineFields, Options
from .outbox import Outbox
from .waits import Patience

INBOX_BYTES: Final = 256 * 1024

D = TypeVar("D", bound=Driver)


class SoftEnd(Generic[D]):
    """One end of a link on a bus.

    Args:
        bus: sends and receives the frames.
        driver: the class of the driver that serves it.
        rcvbuf: bytes of messages to keep until they are read.
        on_event: called with every event of the engine; None: not called.
        accept: says whether to receive a message, by its length; None: all are received.
    """

    def __init__(
        self,
        bus: Bus,
        driver: type[D],
        rcvbuf: int,
        on_event: Callable[[Event], object] | None,
        accept: Callable[[int], bool] | None = None,
    ) -> None:
        self.bus = bus
        self.inbox = Inbox(rcvbuf, self._has_room)
        self.closed = False
        self.has_left = False
        """Whether `close` has nothing more to do."""
        self.bound: Bound | None = None
        """Its part that runs in the driver's thread, once bound."""
        self.served_by: D | None = None
        """The driver, once bound."""
        self._driver_kind = driver
        self._options = Options()
        self._dropped_warned = 0
        self._on_event = on_event
        self._accept = accept

    # --- see `sockets.End`

    @property
    def interface(self) -> str | None:
        """The name of the bus, once bound."""
        return None if self.bound is None else self.bus.name

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""
        return None if self.bound is None else self.bound.address

    @property
    def link(self) -> str:
        """The link in words, for errors."""
        return "an unbound socket" if self.bound is None else self.bound.name

    @property
    def dropped(self) -> int:
        """How many complete messages were dropped because they were not read in time."""
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
        if self.bound is not None:
            raise options_are_fixed()
        return self._options

    # --- binding

    def bind(self, interface: str | None, address: Address | AsymmetricAddress) -> None:
        """See `AnySocket`; `interface`, if it is given, must be the bus's own."""
        self.check_open()
        if self.bound is not None:
            raise AlreadyBoundError("the socket is bound already", link=self.link)
        if interface not in (None, self.bus.name):
            raise InterfaceError(
                f"this socket was made for the bus {self.bus.name!r}, not {interface!r}",
                remedy="leave the interface out of bind, or make the socket for another bus",
            )
        accept = None if self._accept is None else partial(_accepts, weakref.ref(self))
        engine = Engine(self._options.link_address(address), self._options.params, accept=accept)
        self._warn_of_others(engine)
        bound = Bound(engine, address, f"{self.bus.name} {address}", self.inbox, self._on_event)
        self.bound = bound  # from now on the options are fixed
        try:
            self.served_by = self._driver_kind.serving(self.bus, bound.link)
        except BaseException:
            self.bound = None
            raise
        if self.closed:  # by another thread, during this call
            self.served_by.release(bound.link)
            raise self.closed_error()

    def accepts(self, length: int) -> bool:
        """Ask the application whether to receive a message; a call of the socket raises what it raises."""
        assert self._accept is not None
        try:
            return self._accept(length)
        except BaseException as e:
            if self.bound is not None:
                self.bound.keep_callback_error(e)
            return False

    def _warn_of_others(self, engine: Engine) -> None:
        driver = self.bus.driver
        others = driver.hub.listeners(engine.address.rx) if isinstance(driver, self._driver_kind) else 0
        if others and engine.address.tx is not None and not engine.params.listen_only:
            warn(
                f"{others} other socket(s) already listen to {engine.address.rx} on {self.bus.name}: all of them "
                "answer with flow control, and transfers will break; close the other one, or exchange rxid and "
                "txid if they are swapped, or set LISTEN_MODE here to listen only",
                DuplicateBindingWarning,
            )

    # --- for the calls of the socket, from their thread

    def ready_to_send(self) -> tuple[D, Outbox]:
        """The driver, and what takes messages.

        Raises:
            SocketClosedError, NotBoundError, InterfaceError: the socket cannot be used.
        """
        driver = self.usable_driver()
        assert self.bound is not None
        return driver, self.bound.outbox

    def usable_driver(self) -> D:
        """What serves the link.

        Raises:
            SocketClosedError, NotBoundError, InterfaceError: the socket cannot be used.
        """
        self.check_usable()
        if self.served_by is None:
            raise NotBoundError("the socket is not bound", remedy="bind(rxid=..., txid=...) first")
        return self.served_by

    def check_open(self) -> None:
        """Raise SocketClosedError if the socket is closed."""
        if self.closed:
            raise self.closed_error()

    def check_usable(self) -> None:
        """Raise if the socket is closed, its bus has failed, or a callback has raised (once)."""
        self.check_open()
        self._raise_callback_error()
        if self.served_by is not None and self.served_by.hub.has_failed:
            raise self.served_by.hub.failure()

    def _raise_callback_error(self) -> None:
        if self.bound is not None:
            error, self.bound.callback_error = self.bound.callback_error, None
            if error is not None:
                raise error

    def check_receives(self) -> None:
        """Raise if nothing can be received. Messages that arrived before the bus failed can still be read."""
        self._raise_callback_error()
        if self.closed or not self.inbox or (self.served_by is not None and self.served_by.is_lost):
            self.usable_driver()
        if self.bound is not None and self.bound.link.rx is None:
            raise OneWayError(
                "this address only sends", link=self.link, remedy="receive the answers on one socket for each receiver"
            )

    @property
    def is_in_callback(self) -> bool:
        """Whether the caller runs in a callback, where the driver would wait for itself."""
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
        return SocketClosedError("the socket is closed", link=None if self.bound is None else self.link)

    def take(self, bufsize: int | None, msg_flags: int) -> ReceivedMessage | None:
        """The oldest message of the inbox; None if there is none."""
        return self.inbox.take(bufsize, self.link, peek=bool(msg_flags & MSG_PEEK))

    def _has_room(self) -> None:
        if self.served_by is not None and self.bound is not None:
            self.served_by.post(self.bound.update_ready)

    def warn_of_dropped(self) -> None:
        """Warn of messages dropped since the last warning."""
        dropped = self.inbox.dropped
        if dropped > self._dropped_warned:
            lost, self._dropped_warned = dropped - self._dropped_warned, dropped
            warn(
                f"{lost} message(s) were dropped on {self.link}: they were not read in time; read sooner, or give the "
                "socket a bigger buffer (rcvbuf=...)",
                MessagesDroppedWarning,
            )

    def know_dropped(self, message: ReceivedMessage) -> None:
        """`message` was returned with the count of those dropped before it: no warning is needed for them."""
        self._dropped_warned = max(self._dropped_warned, message.dropped)

    @property
    def awaits_each(self) -> bool:
        """Whether every send is confirmed."""
        return bool(self._options.general.optflags & flags.WAIT_TX_DONE)

    def abort(self) -> None:
        """Give up the message being sent."""
        self.check_open()
        if self.served_by is not None and self.bound is not None:
            self.served_by.post(partial(self.bound.stop_sending, "abort was called"))

    # --- closing

    def refuse_calls(self) -> None:
        """The socket is closed now: end the calls that wait in it. The message being sent goes on."""
        self.closed = True
        if self.served_by is not None and self.bound is not None:
            self.served_by.call(self.bound.refuse_calls)

    @property
    def is_sending(self) -> bool:
        """Whether a message is being sent."""
        return self.bound is not None and self.bound.engine.is_sending

    def waits_for_end(
        self, linger: float | None, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[float | None]:
        """How `close` waits for the message being sent: until it has stood still for `linger` seconds; None: for ever.

        Yields how many seconds to wait before the next look. If the message is still being sent at the end, it has to
        be given up. `clock`: monotonic seconds.
        """
        if self.bound is not None and self.served_by is not None:
            patience, hub = Patience(self.bound.outbox, linger, clock), self.served_by.hub
            while self.is_sending and not hub.has_failed and (left_s := patience.left()) != 0:
                yield left_s

    def leave(self, why: str) -> None:
        """Leave the bus, and warn of failures that no call has asked about.

        `why`: in words, why a message that is still being sent is given up.
        """
        self.closed = True
        try:
            if self.served_by is not None and self.bound is not None:
                self.served_by.release(self.bound.link, partial(self._stop_sending, self.bound, why))
            else:
                self.has_left = True
        finally:
            self.inbox.close()
            try:
                self.warn_of_dropped()
            finally:
                if self.bound is not None:
                    self.bound.outbox.warn_of_failures()

    def _stop_sending(self, bound: Bound, why: str) -> None:
        self.has_left = True
        bound.stop_sending(why)

    def abandon(self) -> None:
        """Leave the bus without waiting: the socket was forgotten. The garbage collector calls it, in any thread."""
        self.closed = self.has_left = True
        if self.served_by is not None and self.bound is not None:
            self.served_by.abandon(self.bound.link)


def _accepts(end: "weakref.ref[SoftEnd[Any]]", length: int) -> bool:
    """See `SoftEnd.accepts`. The engine does not keep the socket, so one that is forgotten without `close` is freed."""
    alive = end()
    return alive is not None and alive.accepts(length)


def checked_bus(bus: object) -> Bus:
    """`bus`, or TypeError if it is none."""
    if not isinstance(bus, Bus):
        raise TypeError(
            f"bus must be an isotp.bus.Bus, not {bus!r}: VirtualBus() in this process, SocketCanBus('can0') on Linux, "
            "PythonCanBus(can.Bus(...)) for other adapters, or a class derived from isotp.bus.Bus"
        )
    return bus
