"""Car: ECUs on a bus, served by one thread, or in simulated time by the calls of a test."""

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import isotp  # which imports the kernel's sockets when they are used

from ...bus.base import Bus
from ...bus.socketcan import SocketCanBus
from ...errors import AddressError, InterfaceDownError
from ...linux.timerfd import NEVER
from ...sockets import IsoTpSocket
from ...soft.socket import SoftSocket
from ..simulated import SimulatedSocket, clock_of
from .ecu import AnyAddress, Ecu
from .playback import ecus_in, messages_of
from .services import PLAYBACK
from .station import OpenSocket, Station

_DOWN_S: Final = 0.1  # until it is tried again
LONGEST_PDU: Final = 1 << 24
"""Bytes of the longest message of an ECU in user space."""

Where = Bus | str | OpenSocket


class Car:
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
        TypeError: `where` is none of these, or one of `ecus` is no `Ecu`.
    """

    def __init__(self, where: Where, *ecus: Ecu, configure: Callable[[Any], object] | None = None) -> None:
        if not isinstance(where, Bus | str) and not callable(where):
            raise TypeError(
                f"{where!r}: allowed is a bus, the name of a CAN interface, or a function that opens sockets"
            )
        if wrong := [one for one in ecus if not isinstance(one, Ecu)]:
            raise TypeError(f"{wrong[0]!r} is no isotp.testing.Ecu")
        self.ecus = ecus
        self._where = where
        self._configure = configure
        self._clock = clock_of(where)
        self._bus: Bus | None = None  # of ECUs for any tester, where the others use the kernel
        self._stations: list[Station] = []
        self._thread: threading.Thread | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self.has_begun = False
        """Whether its sockets were bound, now or before."""

    @classmethod
    def from_capture(
        cls, where: Where, source: Any, *, pending: bool = False, configure: Callable[[Any], object] | None = None
    ) -> Self:
        """A car with all ECUs of a recording that answered requests in UDS or OBD; see `Ecu.from_capture`.

        Raises:
            OSError: the recording cannot be read.
            AddressError: it has none.
        """
        messages = messages_of(source)
        ecus = [Ecu(str(pair), pair.address, services=PLAYBACK) for pair in ecus_in(messages)]
        if not ecus:
            raise AddressError("no ECU of the recording answers in UDS or OBD")
        for ecu in ecus:
            ecu.learn(messages, pending)
        return cls(where, *ecus, configure=configure)

    def __repr__(self) -> str:
        return f"<isotp.testing.Car {', '.join(ecu.name for ecu in self.ecus)}>"

    # --- sockets

    def _open(self, ecu: Ecu, address: AnyAddress, on_event: Callable[[Any], object] | None = None) -> IsoTpSocket:
        where = self._where
        sock: IsoTpSocket
        if isinstance(where, str) and ecu.any_tester:
            where = self._bus = self._bus or SocketCanBus(where)
        if isinstance(where, str):
            sock = isotp.socket(0)
        elif isinstance(where, Bus):
            sock = soft = (SoftSocket if self._clock is None else SimulatedSocket)(where, 0, on_event=on_event)
            soft.set_engine_opts(max_pdu_size=LONGEST_PDU)
        else:
            return where(address)
        try:
            if self._configure is not None:
                self._configure(sock)
            sock.bind(where if isinstance(where, str) else None, address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _bind(self) -> None:
        with ExitStack() as stack:
            for ecu in self.ecus:
                station = Station(ecu, partial(self._open, ecu), self._wake_up)
                stack.callback(station.close)
                self._stations.append(station)
            stack.pop_all()

    def _wake_up(self) -> None:
        if self._wake is not None:
            with suppress(BlockingIOError):  # it is awake
                self._wake[1].send(b"\0")

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
            for station in self._stations:
                stack.callback(station.close)
            self._stations = []
            for end in self._wake or ():
                stack.callback(end.close)
            self._wake = None
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
                while not self._ending.is_set() and (end_s is None or time.monotonic() < end_s):
                    selector.select(self._pause_s(end_s))
                    with suppress(BlockingIOError):
                        self._wake[0].recv(4096)
                    self._step()
            except Exception as e:
                self._error = e

    def _pause_s(self, end_s: float | None) -> float | None:
        due_ns = self.due_ns()
        if end_s is not None:
            due_ns = min(due_ns, round(end_s * 1e9))
        return None if due_ns == NEVER else max(0, due_ns - time.monotonic_ns()) / 1e9

    def _step(self) -> None:
        try:
            for station in self._stations:
                station.step(time.monotonic_ns())
        except InterfaceDownError:
            self._ending.wait(_DOWN_S)

    # --- see `clock.Timed`

    def do_due(self) -> bool:
        """Take the requests that have arrived, and send the replies that are due."""
        assert self._clock is not None
        if self._error is not None:
            return False
        try:
            return any([station.step(self._clock()) for station in self._stations])  # noqa: C419 - all of them
        except InterfaceDownError:
            return True
        except Exception as e:  # it is for `close`, and not for the call that waits
            self._error = e
            return False

    def due_ns(self) -> int:
        """When a reply is due next."""
        if self._error is not None:
            return NEVER
        return min((station.due_ns for station in self._stations), default=NEVER)
