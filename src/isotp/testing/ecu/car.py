"""Car: ECUs on a bus, served by one thread, or in simulated time by the calls of a test."""

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

import isotp  # which imports the kernel's sockets when they are used

from ...bus.base import Bus
from ...deadline import LONGEST_WAIT_S
from ...linux.timerfd import NEVER
from ...sockets import IsoTpSocket
from ...soft.socket import SoftSocket
from ..simulated import SimulatedSocket, clock_of
from .base import LONGEST_PDU, AnyCar
from .ecu import Ecu
from .station import OpenSocket, Station

Where = Bus | str | OpenSocket


class Car(AnyCar[IsoTpSocket]):
    """Simulated ECUs on one bus: started and stopped together.

        with isotp.testing.Car(isotp.VirtualBus(), engine, gearbox):
            ...  # they answer

    One thread serves all of them. On a bus with a `FakeClock` there is none: they answer while calls of
    `SimulatedSocket` wait. When it is closed, it raises the first exception of a rule's function.

    Args:
        where: a bus; the name of a CAN interface, for the kernel's sockets; or a function that returns a socket bound
            to the address that it is given.
        ecus: the ECUs. They can be added to a car only before it is started.
        configure: called with each socket before it is bound, to set options: CAN FD, padding, flow control.

    Raises:
        AddressError: two ECUs have the same identifier.
        TypeError: `where` is none of these, or one of `ecus` is no `Ecu`.
    """

    _kind = IsoTpSocket

    def __init__(self, where: Where, *ecus: Ecu, configure: Callable[[Any], object] | None = None) -> None:
        super().__init__(where, *ecus, configure=configure)
        self._clock = clock_of(where)
        self._stations: list[Station] = []
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self.has_begun = False
        """Whether its sockets were bound, now or before."""

    # --- sockets

    def _kernel_socket(self) -> IsoTpSocket:
        return isotp.socket(0)

    def _soft_socket(self, bus: Bus, on_event: Callable[[Any], object] | None) -> IsoTpSocket:
        sock = (SoftSocket if self._clock is None else SimulatedSocket)(bus, 0, on_event=on_event)
        sock.set_engine_opts(max_pdu_size=LONGEST_PDU)
        return sock

    def _bind(self) -> None:
        with ExitStack() as stack:
            for ecu in self.ecus:
                station = Station(ecu, self.ecus, partial(self._open, ecu), self._wake_up)
                stack.callback(station.close)
                self._stations.append(station)
            stack.pop_all()

    def _wake_up(self) -> None:
        wake = self._wake
        if wake is not None:
            with suppress(BlockingIOError):  # it is awake
                wake[1].send(b"\0")

    # --- beginning and end

    def start(self) -> None:
        """Let the ECUs answer until `close`.

        Raises:
            InterfaceError: the interface or bus cannot be used.
            UnavailableError: this kernel has no ISO-TP.
        """
        self._begin()
        if self._clock is not None:
            self._clock.add(self)
        else:
            self._thread = threading.Thread(target=self._serve, name="isotp ECUs", daemon=True)
            self._thread.start()

    def run(self, seconds: float | None = None) -> None:
        """Let the ECUs answer for so many seconds, in this thread; None: until the bus fails.

        Raises:
            InterfaceError: the interface or bus is gone.
        """
        if self._clock is not None:
            with self:
                self._clock.wait(lambda: self._error is not None, seconds)
            return
        self._begin()
        try:
            self._serve(seconds)
        finally:
            error = self._end()
        if error is not None:
            raise error

    def _begin(self) -> None:
        if self._stations:
            raise RuntimeError("the car runs already")
        self._ending.clear()
        self._error = None
        try:
            if self._clock is None:
                self._wake = socket.socketpair()
                for end in self._wake:
                    end.setblocking(False)
            self._bind()
        except BaseException:
            self._stations.clear()
            self._end()
            raise
        self.has_begun = True

    def close(self) -> None:
        """Stop all of them; nothing is left of their sockets and of the thread. Closing again does nothing.

        Raises:
            InterfaceError: the interface or bus was gone.
            Exception: what a function of a rule, DID and so on has raised, the first one of all.
        """
        error = self._end()
        if error is not None:
            raise error

    def _end(self) -> BaseException | None:
        """Stop; returns what has gone wrong."""
        self._ending.set()
        if self._thread is not None:
            self._wake_up()
            self._thread.join()
            self._thread = None
        if self._clock is not None and self._stations:
            self._clock.remove(self)
        with ExitStack() as stack:
            wake, stations = self._wake, self._stations
            for end in wake or ():  # closed last: until then a socket may wake
                stack.callback(end.close)
            stack.callback(setattr, self, "_wake", None)
            for station in stations:
                stack.callback(station.close)
            self._stations = []
        failures = [failure for ecu in self.ecus for failure in ecu.failures]
        error, self._error = self._error, None
        return error or next(iter(failures), None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        error = self._end()
        if error is not None and value is None:
            raise error

    # --- the thread

    def _serve(self, seconds: float | None = None) -> None:
        assert self._wake is not None
        end_s = None if seconds is None else time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self._wake[0], selectors.EVENT_READ)
                for station in self._stations:
                    for sock in station.sockets:
                        selector.register(sock, selectors.EVENT_READ)
                has_worked = False
                while not self._ending.is_set() and (end_s is None or time.monotonic() < end_s):
                    selector.select(0 if has_worked else self._pause_s(end_s))
                    with suppress(BlockingIOError):
                        self._wake[0].recv(4096)
                    has_worked = self._step(time.monotonic_ns())
            except Exception as e:
                self._error = e

    def _pause_s(self, end_s: float | None) -> float:
        due_ns = self.due_ns()
        if end_s is not None:
            due_ns = min(due_ns, round(end_s * 1e9))
        return min(max(0, due_ns - time.monotonic_ns()) / 1e9, LONGEST_WAIT_S)

    def _step(self, now_ns: int) -> bool:
        return any([station.step(now_ns) for station in self._stations])  # noqa: C419 - all of them

    # --- see `clock.Timed`

    def do_due(self) -> bool:
        """Take the requests that have arrived, and send the replies that are due."""
        assert self._clock is not None
        if self._error is not None:
            return False
        try:
            return self._step(self._clock())
        except Exception as e:  # it is for `close`, and not for the call that waits
            self._error = e
            return False

    def due_ns(self) -> int:
        """When a reply is due next."""
        if self._error is not None:
            return NEVER
        return min((station.due_ns for station in self._stations), default=NEVER)
