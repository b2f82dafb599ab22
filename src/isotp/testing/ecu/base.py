"""What `Car` and `AsyncCar` have in common: the ECUs, where they are, and links to testers that they do not know."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from ...bus.base import Bus
from ...bus.socketcan import SocketCanBus
from ...can_frame import CanFrame
from ...capture.capture import Capture
from ...errors import AddressError, InterfaceError
from ...sockets import AnySocket
from .addresses import AnyAddress, Testers
from .ecu import Ecu
from .playback import ecus_in
from .services import PLAYBACK

LONGEST_PDU: Final = 1 << 24
"""Bytes of the longest message of an ECU in user space."""

LAST_WORDS_S: Final = 2.0
"""How long closing waits for a reply that is being sent."""

S = TypeVar("S", bound=AnySocket)


def check_identifiers(ecus: Sequence[Ecu]) -> None:
    """Check that ECUs can be on one bus.

    Raises:
        AddressError: two of them receive or send the same identifier.
    """
    for one, other in combinations(ecus, 2):
        pairs = (("rxid", one.address.rx, other.address.rx), ("txid", one.address.tx, other.address.tx))
        if same := [f"{which}={its}" for which, its, of_other in pairs if its == of_other]:
            raise AddressError(
                f"ECUs {one.name!r} and {other.name!r} have the same identifiers: {' '.join(same)}",
                remedy="give each of them identifiers of its own",
            )


class AnyCar(Generic[S]):
    """ECUs on one bus; see `Car` for the arguments.

    Raises:
        AddressError: two ECUs have the same identifier.
        TypeError: `where` is none of what is allowed, or one of `ecus` is no `Ecu`.
    """

    _kind: type[S]

    def __init__(
        self,
        where: "Bus | str | Callable[[Any], S]",
        *ecus: Ecu,
        configure: Callable[[Any], object] | None = None,
    ) -> None:
        if not isinstance(where, Bus | str) and not callable(where):
            raise TypeError(
                f"{where!r}: allowed is a bus, the name of a CAN interface, or a function that opens sockets"
            )
        if wrong := [one for one in ecus if not isinstance(one, Ecu)]:
            raise TypeError(f"{wrong[0]!r} is no isotp.testing.Ecu")
        check_identifiers(ecus)
        if visited := [ecu for ecu in ecus if ecu.testers is not None and not isinstance(where, Bus | str)]:
            raise TypeError(
                f"ECU {visited[0].name!r} is for testers that it does not know: it needs a bus or the name of a CAN "
                f"interface, not {where!r}"
            )
        self.ecus = ecus
        self._where = where
        self._configure = configure
        self._soft_bus: Bus | None = None  # of such ECUs, where the others use the kernel

    @classmethod
    def from_capture(
        cls, where: Any, source: Any, *, pending: bool = False, configure: Callable[[Any], object] | None = None
    ) -> Self:
        """A car with all ECUs of a recording that answered requests in UDS or OBD; see `Ecu.from_capture`.

        Raises:
            OSError: the recording cannot be read.
            AddressError: it has none.
        """
        messages = list(Capture(source))
        ecus = [Ecu(str(pair), pair.address, services=PLAYBACK) for pair in ecus_in(messages)]
        if not ecus:
            raise AddressError("no ECU of the recording answers in UDS or OBD")
        for ecu in ecus:
            ecu.learn(messages, pending)
        return cls(where, *ecus, configure=configure)

    def __repr__(self) -> str:
        return f"<isotp.testing.{type(self).__name__} {', '.join(ecu.name for ecu in self.ecus)}>"

    def _place(self, ecu: Ecu) -> "Bus | str | Callable[[Any], S]":
        """Where the sockets of an ECU are opened: the kernel does not hear testers that are not known."""
        if isinstance(self._where, str) and ecu.testers is not None:
            self._soft_bus = self._soft_bus or SocketCanBus(self._where)
            return self._soft_bus
        return self._where

    def _open(self, ecu: Ecu, address: AnyAddress, on_event: Callable[[Any], object] | None = None) -> S:
        """A socket of an ECU, bound; `on_event`: of one in user space."""
        where = self._place(ecu)
        if not isinstance(where, Bus | str):
            sock = where(address)
            if not isinstance(sock, self._kind) or not sock.bound:
                raise TypeError(f"{where!r} returned {sock!r}: needed is an {self._kind.__name__} bound to {address}")
            return sock
        sock = self._kernel_socket() if isinstance(where, str) else self._soft_socket(where, on_event)
        try:
            if self._configure is not None:
                self._configure(sock)
            sock.bind(where if isinstance(where, str) else None, address)
        except BaseException:
            sock.close()
            raise
        return sock

    def _kernel_socket(self) -> S:
        raise NotImplementedError

    def _soft_socket(self, bus: Bus, on_event: Callable[[Any], object] | None) -> S:
        raise NotImplementedError


class Line(Protocol):
    """What sends the replies to a tester."""

    sock: Any


L = TypeVar("L", bound=Line)


class Reception(Generic[L]):
    """Opens the links of an ECU to testers that it does not know, when their first frames are seen.

    These frames are not lost. All but the constructor and `close` runs in the thread that serves the bus.

    Args:
        ecu: the ECU.
        ecus: all of the car.
        own: its link to the tester that it knows.
        open_line: opens a link, or with the line of one: the address of requests whose replies go there.
    """

    def __init__(self, ecu: Ecu, ecus: Sequence[Ecu], own: L, open_line: Callable[[AnyAddress, L | None], L]) -> None:
        assert ecu.testers is not None
        self._ecu = ecu
        self._testers: Testers = ecu.testers
        self._open_line = open_line
        self._lines: dict[Any, L] = {ecu.address.rx: own}
        self._functional: set[Any] = set()
        self._testers.leave_to(other.address.rx for other in ecus if other is not ecu and other.address.rx)
        self._driver = own.sock._end.served_by
        self._driver.call(lambda: self._driver.hub.admit(self._testers.can_ids(), self.admit))

    def admit(self, frame: CanFrame) -> None:
        """Open what is needed for `frame` to be received."""
        visit = self._testers.visit(frame)
        if visit is None:
            return
        try:
            line = self._lines.get(visit.link.rx)
            if line is None:
                line = self._lines[visit.link.rx] = self._open_line(visit.link, None)
            if visit.functional is not None and visit.functional.rx not in self._functional:
                self._open_line(visit.functional, line)
                self._functional.add(visit.functional.rx)
        except InterfaceError:  # the bus is down
            self._ecu.counts["broken receptions"] += 1
        except Exception as e:  # of `configure`, or a warning that is an error here
            self._ecu.failures.append(e)

    def close(self) -> None:
        """Open no more."""
        self._driver.call(lambda: self._driver.hub.dismiss(self.admit))
