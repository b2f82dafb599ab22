"""Sockets as subjects, in real time: the kernel's, and `SoftSocket` over the engine."""

import queue
import threading
import warnings
from abc import abstractmethod
from collections.abc import Callable

from ...bus.virtual import VirtualBus
from ...can_frame import CanFrame
from ...errors import BusyError, DuplicateBindingWarning, SocketClosedError, TransferError, UnconfirmedSendWarning
from ...kernel.socket import socket
from ...linux.release import kernel_release
from ...linux.traits import FLAGS
from ...opts.optflags import flags
from ...sockets import IsoTpSocket
from ...soft.socket import SoftSocket
from .case import Need, Setup
from .nodes import Node, RawNode, VirtualNode
from .subject import Heard, Reported, Subject

_CLASSICAL_MTU, _CAN_FD_MTU = 16, 72
_UNABLE = {Need.ANSWER, Need.LONG_ANSWER, Need.HOLD, Need.BLOCK}


class SocketSubject(Subject):
    """A socket, with a thread that receives and one for each message that is sent.

    Args:
        late_s: by how many seconds the machine may be late.
    """

    def __init__(self, late_s: float = 1.0) -> None:
        self.late_ns = round(late_s * 1e9)

    @abstractmethod
    def _node(self) -> Node:
        """The tester's node."""

    @abstractmethod
    def _socket(self, setup: Setup) -> IsoTpSocket:
        """A socket, not yet bound."""

    @abstractmethod
    def _interface(self) -> str | None:
        """What it is bound to."""

    def open(self, setup: Setup) -> None:
        """See `Subject`."""
        self._tester = self._node()
        self._sock = sock = self._socket(setup)
        self._reports: queue.Queue[Reported] = queue.Queue()
        self._threads: list[threading.Thread] = []
        on = (flags.HALF_DUPLEX if setup.half_duplex else 0) | (flags.DYN_FC_PARMS if setup.dynamic else 0)
        sock.set_general_opts(on or None, txpad=setup.padding)
        sock.set_fc_opts(bs=setup.bs, stmin=setup.stmin)
        sock.set_ll_opts(mtu=_CAN_FD_MTU if setup.can_fd else _CLASSICAL_MTU, tx_dl=setup.tx_dl)
        sock.bind(self._interface(), self.address(setup))
        if self.address(setup).rx is not None:
            self._start(self._receive)

    def _start(self, call: Callable[[], None]) -> None:
        thread = threading.Thread(target=call, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """See `Subject`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnconfirmedSendWarning)  # a case may end in mid-message
            self._sock.close()
        for thread in self._threads:
            thread.join()
        self._tester.close()

    def now(self) -> int:
        """See `Subject`."""
        return self._tester.now()

    def send(self, frame: CanFrame, is_exact: bool) -> None:
        """See `Subject`."""
        self._tester.send(frame)

    def receive(self, until_ns: int) -> Heard | None:
        """See `Subject`."""
        return self._tester.receive(until_ns)

    def report(self, until_ns: int) -> Reported | None:
        """See `Subject`."""
        try:
            return self._reports.get(timeout=max(0.0, (until_ns - self.now()) / 1e9))
        except queue.Empty:
            return None

    def ask(self, data: bytes) -> None:
        """See `Subject`."""

        def send() -> None:
            try:
                self._sock.send(data)
            except SocketClosedError:
                return
            except TransferError as e:
                self._reports.put(Reported(self.now(), e.n_result.name if e.n_result else "", text=e.what))
            else:
                self._reports.put(Reported(self.now(), "sent"))

        self._start(send)

    def _receive(self) -> None:
        while True:
            try:
                data = self._sock.recv()
                self._reports.put(Reported(self.now(), "message", data))
            except SocketClosedError:
                return
            except TransferError as e:
                self._reports.put(Reported(self.now(), e.n_result.name if e.n_result else "", text=e.what))


class KernelSubject(SocketSubject):
    """`isotp.socket`, so the kernel's ISO-TP; the tester is a raw socket on the same interface.

    Args:
        interface: a vcan that no other program uses.
        late_s: see `SocketSubject`.
    """

    def __init__(self, interface: str, late_s: float = 1.0) -> None:
        super().__init__(late_s)
        release = kernel_release()
        self.name = "isotp.socket" if release is None else f"Linux {release[0]}.{release[1]}"
        self.abilities = frozenset(Need) - _UNABLE - {Need.WFTMAX, Need.MAX_SIZE}
        if release is not None and not FLAGS["DYN_FC_PARMS"].is_in(release):
            self.abilities -= {Need.DYNAMIC}
        self._where = interface

    def open(self, setup: Setup) -> None:
        """See `Subject`.

        Raises:
            BusyError: another program uses the interface.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("error", DuplicateBindingWarning)
            try:
                super().open(setup)
            except DuplicateBindingWarning as e:
                raise BusyError(
                    f"{self._where} is in use by another program, with the same identifiers: {e}",
                    remedy="end it, or take an interface that no other program uses: sudo isotp vcan up vcan1",
                ) from None

    def _node(self) -> Node:
        return RawNode(self._where)

    def _socket(self, setup: Setup) -> IsoTpSocket:
        return socket()

    def _interface(self) -> str:
        return self._where


class SoftSubject(SocketSubject):
    """`SoftSocket` on a VirtualBus: the engine again, but with a hub, a thread and real time."""

    name = "isotp.SoftSocket"
    abilities = frozenset(Need) - _UNABLE

    def _node(self) -> Node:
        self._bus = VirtualBus()
        return VirtualNode(self._bus)

    def _socket(self, setup: Setup) -> IsoTpSocket:
        sock = SoftSocket(self._bus)
        sock.set_engine_opts(max_pdu_size=setup.max_size or 1 << 20)
        sock.set_fc_opts(wftmax=setup.wftmax)
        return sock

    def _interface(self) -> None:
        return None
