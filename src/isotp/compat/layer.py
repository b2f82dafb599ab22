"""TransportLayer: can-isotp 2's transport layer that works by itself between `start` and `stop`."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from ..address import Address, AsymmetricAddress, TargetAddressType
from ..bus.base import Bus
from ..engine.events import Event
from ..errors import BusyError, InterfaceError, IsoTpError
from ..soft.link import Link
from ..soft.thread_driver import ThreadDriver
from .can_message import RxFn, TxFn, to_message
from .function_bus import FunctionBus
from .logic import ErrorHandler, Payload, TransportLayerLogic
from .send_request import ProcessStats as Stats
from .send_request import SendRequest as Request

T = TypeVar("T")

_lock: Final = threading.RLock()  # held while a layer gets its bus; a signal handler may start one, too


class TransportLayer(TransportLayerLogic):
    """A transport layer that works by itself between `start` and `stop`.

    If it is never started, `process` does the work, as in can-isotp 1.

    Args:
        rxfn: returns the next CAN frame received, or None; it may wait, for the seconds that it is given. A thread
            calls it.
        txfn: sends a CAN frame. Another thread calls it.
        address: of the link.
        error_handler: called with each IsoTpError, in a thread of the layer.
        params: parameters by name, see `Params`.
        read_timeout: the seconds that rxfn is given.

    Raises:
        AddressError: the address is a half.
        OptionError: a parameter that is not allowed.
    """

    def __init__(
        self,
        rxfn: RxFn,
        txfn: TxFn,
        address: Address | AsymmetricAddress,
        error_handler: ErrorHandler | None = None,
        params: dict[str, Any] | None = None,
        read_timeout: float = 0.05,
    ) -> None:
        self._bus: Bus | None = None  # while it is started
        self.default_read_timeout = read_timeout
        super().__init__(rxfn, txfn, address, error_handler, params)

    @property
    def started(self) -> bool:
        """Whether it works by itself now."""
        return self._bus is not None

    @property
    def _driver(self) -> ThreadDriver | None:
        bus = self._bus
        return None if bus is None else bus.driver

    def start(self) -> None:
        """Work by itself from now on.

        Raises:
            RuntimeError: it does already.
            InterfaceError: the bus cannot be used.
        """
        with _lock:
            if self._bus is not None:
                raise RuntimeError("the transport layer is started already")
            self._bus = bus = self._make_bus()
        try:
            self._join(bus, self._links)
        except BaseException:
            self._bus = None
            raise
        bus.driver.call(lambda: self._go_on(bus))

    def _make_bus(self) -> Bus:
        return FunctionBus(
            self.receive_message,
            lambda frame: self.txfn(to_message(frame, self.params.can_fd)),
            self.default_read_timeout,
            lambda: self.params.wait_func(self.sleep_time()),
        )

    def _join(self, bus: Bus, links: list[Link]) -> None:
        for link in links:
            ThreadDriver.serving(bus, link)

    def stop(self) -> None:
        """Work by itself no longer, and give up what is being sent and received."""
        bus = self._bus
        if bus is not None and (driver := bus.driver) is not None:
            physical, *functional = self._links
            for link in functional:
                driver.release(link)
            driver.release(physical, lambda: self._stopped(bus))

    def _stopped(self, bus: Bus) -> None:
        if self._bus is bus:  # else another thread has stopped it meanwhile
            super().reset()
            self._bus = None

    def _serve(self, links: list[Link]) -> None:
        self._call(lambda: self._exchange(links))  # between two turns: no frame is for both the old and the new ones

    def _exchange(self, links: list[Link]) -> None:
        bus = self._bus
        if bus is None:
            self._use(links)
            return
        old = self._links
        self._join(bus, links)
        self._use(links)
        for link in old:
            bus.driver.release(link)

    def process(self, rx_timeout: float = 0.0, do_rx: bool = True, do_tx: bool = True) -> Stats:
        """See `TransportLayerLogic`; only while it is not started."""
        self._check_not_started("process")
        return super().process(rx_timeout, do_rx, do_tx)

    def reset(self) -> None:
        """See `TransportLayerLogic`; only while it is not started."""
        self._check_not_started("reset")
        super().reset()

    def _check_not_started(self, what: str) -> None:
        if self.started:
            raise RuntimeError(f"{what}() is for a transport layer that was not started, or was stopped")

    def _call(self, function: Callable[[], T]) -> T:
        return function() if (driver := self._driver) is None else driver.call(function)

    def _begin_soon(self) -> None:
        if (driver := self._driver) is not None:
            driver.post(self._begin_next)

    def send(
        self,
        data: Payload,
        target_address_type: TargetAddressType | int | None = None,
        send_timeout: float | None = None,
    ) -> None:
        """See `TransportLayerLogic`.

        Raises:
            BusyError: with `blocking_send`, in an error handler: the thread that calls it is the one that sends.
        """
        if self.params.blocking_send and (driver := self._driver) is not None and driver.is_current:
            raise BusyError("an error handler cannot wait for a message", remedy="send it in another thread")
        super().send(data, target_address_type, send_timeout)

    # --- in the driver's thread

    def _go_on(self, bus: Bus) -> None:
        """Go on with what `process` has begun, and with what waits."""
        for link in self._links:
            if self._bus is bus:
                self._touch(link)
            else:  # an error handler or another thread has called `stop` meanwhile
                bus.driver.release(link)
        self._begin_soon()

    def _touch(self, link: Link) -> None:
        if self._bus is None:
            return
        if link.hub.has_failed:
            super().on_bus_failure(link.hub.failure())
        else:
            link.hub.touch(link)

    def on_event(self, event: Event) -> None:
        """The engine reports `event`."""
        super().on_event(event)
        if self._bus is not None:
            self._begin_next()

    def on_bus_failure(self, error: InterfaceError) -> None:
        """The bus failed: what is being sent and received is lost."""
        super().on_bus_failure(error)
        self._begin_next()

    def on_fork(self) -> None:
        """This is a child process now: the layer is not started here."""
        self._bus = None

    def _report(self, error: IsoTpError, request: Request | None = None) -> None:
        if self._bus is None:
            super()._report(error, request)
        else:
            self._links[0].hub.call_later(partial(self._report_now, error, request))

    def _report_now(self, error: IsoTpError, request: Request | None) -> None:
        try:
            super()._report(error, request)
        except Exception:
            self.logger.exception("the error handler failed")
