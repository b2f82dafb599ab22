"""What talks to the kernel: the native socket of `isotp.socket` and of `AsyncSocket`, with its options and its link.

Nothing here waits: the native socket is never blocked in, whatever its own mode. The methods that send and receive are
called by one call at a time (`socket._alone`), or in one event loop.
"""

import socket
from typing import TYPE_CHECKING, Any, Final, NoReturn, Unpack

from .. import opts
from ..address import Address, AsymmetricAddress
from ..errors import (
    AlreadyBoundError,
    IsoTpError,
    OneWayError,
    OptionError,
    OptionIgnoredWarning,
    SocketClosedError,
    warn,
)
from ..linux import closing, modules, native
from ..linux.constants import (
    CONTROL_SIZE,
    SO_RXQ_OVFL,
    SO_TIMESTAMPNS,
    timestamp_and_drops,
)
from ..opts.optflags import flags
from ..sockets import MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, ReceivedMessage, buffer_too_small
from . import binding, translate
from .begins import Begins
from .drops import Drops
from .states import TxState
from .transmission import Message, Transmission

if TYPE_CHECKING:
    from concurrent.futures import Future

_LARGEST_RCVBUF: Final = 0x3FFFFFFF  # the kernel doubles it, in an int
_IDLE: Final = TxState.IDLE
_NOT_TRUNC: Final = ~MSG_TRUNC


class KernelEnd:
    """One end of a link, over a native ISO-TP socket.

    Args:
        rcvbuf: bytes the kernel may hold for messages not yet read; None: the system's default.
        watch_begin: whether to hear when messages begin.

    Raises:
        OptionError: rcvbuf is no number of bytes.
        UnavailableError: this Python or this kernel has no ISO-TP sockets.
    """

    def __init__(self, rcvbuf: int | None, watch_begin: bool) -> None:
        self.closed = True  # until there is something to close
        _check_rcvbuf(rcvbuf)
        self.native = sock = native.open_native_socket()
        try:
            sock.settimeout(None)  # with a timeout of its own each of its calls would poll first
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            if rcvbuf is not None:
                _set_rcvbuf(sock, rcvbuf)
            self.transmission = Transmission(sock)
            self.drops = Drops(sock)
        except BaseException:
            sock.close()
            raise
        self.closed = False
        self.begins = Begins() if watch_begin else None
        """What hears when messages begin."""
        self.wait_tx_done = flags(0)
        """WAIT_TX_DONE if it was set before bind: then each send is confirmed, by us instead of the kernel."""
        self._binding: binding.Binding | None = None
        self._native_send: Any = sock.send
        self._native_recv: Any = sock.recv
        self.senders: list[Message] = []
        """The messages that wait to be sent, the first one first."""
        self._max_pdu_size = 1  # until bound; for 0 bytes Python does not even ask the kernel

    # --- options

    def set_general_opts(self, optflags: int | None, **fields: Unpack[opts.GeneralFields]) -> opts.GeneralOptions:
        """See `opts.general.write`."""
        return opts.general.write(self, optflags, **fields)

    def set_fc_opts(self, bs: int | None, stmin: int | None, wftmax: int | None) -> opts.FlowControlOptions:
        """See `opts.flowcontrol.write`."""
        return opts.flowcontrol.write(self, bs, stmin, wftmax)

    def set_ll_opts(self, mtu: int | None, tx_dl: int | None, tx_flags: int | None) -> opts.LinkLayerOptions:
        """See `opts.linklayer.write`."""
        return opts.linklayer.write(self, mtu, tx_dl, tx_flags)

    def get_general_opts(self) -> opts.GeneralOptions:
        """See `opts.general.read`."""
        return opts.general.read(self)

    def get_fc_opts(self) -> opts.FlowControlOptions:
        """See `opts.flowcontrol.read`."""
        return opts.flowcontrol.read(self)

    def get_ll_opts(self) -> opts.LinkLayerOptions:
        """See `opts.linklayer.read`."""
        return opts.linklayer.read(self)

    # --- the link

    def bind(self, interface: str | None, address: Address | AsymmetricAddress) -> None:
        """Bind to a link; nothing is changed if it fails."""
        if self.closed:
            raise self.closed_error()
        if self._binding is not None:
            raise AlreadyBoundError("the socket is bound already", link=self.link)
        bind = self.begins.bind if self.begins else binding.bind
        bound = bind(self.native, interface, address)
        self.wait_tx_done = bound.wait_tx_done
        self._max_pdu_size = modules.max_pdu_size()
        if not bound.sends:
            self._native_send = self._refuse_send
        if not bound.receives:
            self._native_recv = self._refuse_recv
        self._binding = self.transmission.bound = bound

    @property
    def bound(self) -> bool:
        """Whether the socket has an address."""
        return self._binding is not None

    @property
    def interface(self) -> str | None:
        """The CAN interface, once bound."""
        return self._binding.interface if self._binding else None

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""
        return self._binding.address if self._binding else None

    @property
    def link(self) -> str:
        """The link in words, for errors."""
        return str(self._binding) if self._binding else "an unbound socket"

    def closed_error(self) -> SocketClosedError:
        """The error of a call on a closed socket."""
        return SocketClosedError("the socket is closed", link=str(self._binding) if self._binding else None)

    # --- sending

    def send(self, message: Message, data: Any, msg_flags: int) -> bool:
        """Give the kernel a message if it has room, and look whether it is out already.

        Returns:
            Whether that is all; False: wait for room if not `message.is_sent`, else for its outcome, or raise that.
        """
        tx = self.transmission
        if (self.senders and self.senders[0] is not message) or (tx.state is not _IDLE and not tx.look()):
            return False
        message.size = len(data) if type(data) is bytes else memoryview(data).nbytes
        tx.offer(message)
        try:
            self._native_send(data, msg_flags | MSG_DONTWAIT)
            message.is_sent = True
        except OSError as e:
            if not self._send_again(message, data, msg_flags, e):
                return False
        return not message.is_awaited or (tx.look() and not message.failure)

    def _send_again(self, message: Message, data: Any, msg_flags: int, refusal: OSError) -> bool:
        """Send a message that the kernel refused, if the reason lies elsewhere; returns whether it was sent.

        If the error slot holds a number, send() returns it and sends nothing: it is about an earlier event. If the next
        send() returns it again, it is about this message.
        """
        tx = self.transmission
        earlier, reception = 0, tx.reception
        while refusal.errno is not None:  # None: raised by a signal handler, not by the kernel
            tx.refuse()
            if isinstance(refusal, BlockingIOError):  # it sends something that is not ours, or `is_transmitting` asks
                tx.is_poll_useless = not tx.poll_is_truthful
                return False
            is_in_slot = refusal.errno in translate.SLOT_ERRNOS
            if not is_in_slot or (refusal.errno == earlier and earlier not in translate.RECEPTION_ERRNOS):
                break
            earlier = refusal.errno
            tx.found.append(earlier)
            tx.sort()
            tx.offer(message)
            try:
                self._native_send(data, msg_flags | MSG_DONTWAIT)
                message.is_sent = True
            except OSError as e:
                refusal = e
            else:
                return True
        if refusal.errno == earlier:
            tx.reception = reception
        bound = self._binding
        limit = bound.single_frame_max if bound and not bound.segmentation else None
        raise translate.send_refused(refusal, message.size, limit, self.interface, self.link) from None

    def still_sending(self) -> str:
        """Why the next message has to wait, in words."""
        tx = self.transmission
        size = "" if tx.state is _IDLE else f" ({tx.message.size} bytes)"  # else it is not ours
        return f"an earlier message{size} is still being sent on {self.link}"

    def _refuse_send(self, data: object, msg_flags: int) -> NoReturn:
        raise OneWayError("this address only receives", link=self.link, remedy="bind with a txid to send")

    # --- receiving

    def take(self, bufsize: int | None, msg_flags: int) -> bytes | None:
        """Receive a message if there is one; None if not."""
        tx = self.transmission
        while True:
            if tx.found or tx.reception:
                self._raise_reception()
            try:
                if bufsize is not None:
                    self._check_room(bufsize)
                # MSG_TRUNC would make Python read beyond its buffer.
                received: bytes = self._native_recv(self._max_pdu_size, (msg_flags | MSG_DONTWAIT) & _NOT_TRUNC)
                return received
            except BlockingIOError:
                if self.begins:
                    self.begins.look()
                return None
            except OSError as e:
                self._sort(e)

    def take_message(self, bufsize: int | None, msg_flags: int) -> ReceivedMessage | None:
        """Receive a message with its time if there is one; None if not."""
        self._check_receives()
        while True:
            self._raise_reception()
            try:
                data, control, _, _ = self.native.recvmsg(
                    self._max_pdu_size, CONTROL_SIZE, (msg_flags | MSG_DONTWAIT) & _NOT_TRUNC
                )
            except BlockingIOError:
                if self.begins:
                    self.begins.look()
                return None
            except OSError as e:
                self._sort(e)
                continue
            timestamp_ns, drops = timestamp_and_drops(control)
            if drops is not None:
                self.drops.received_after(drops)
            begin_ns = self.begins.begin_of(timestamp_ns) if self.begins else None
            return ReceivedMessage(data, timestamp_ns, self.drops.before_last, begin_ns)

    def _check_room(self, bufsize: int) -> None:
        """Raise ReceiveBufferTooSmallError if the next message is longer than `bufsize`; it is kept."""
        self._check_receives()
        size = self.native.recv_into(bytearray(1), 1, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC)
        if size > bufsize:
            raise buffer_too_small(size, bufsize, self.link)

    def _raise_reception(self) -> None:
        """Raise the failure of a reception that broke off, if there is one."""
        tx = self.transmission
        if tx.found:
            tx.sort()
        if tx.reception:
            error = translate.reception_failed(tx.reception, self.interface, self.link)
            try:
                raise error
            finally:
                tx.reception = 0

    def _sort(self, e: OSError) -> None:
        """Put what a receiving call fetched from the error slot where it belongs; raise any other error."""
        if isinstance(e, IsoTpError):
            raise e
        if e.errno not in translate.SLOT_ERRNOS:
            raise translate.unusable(e, self.interface, self.link) from None
        self.transmission.found.append(e.errno)

    def _check_receives(self) -> None:
        if self._binding and not self._binding.receives:
            self._refuse_recv(0, 0)

    def _refuse_recv(self, size: int, msg_flags: int) -> NoReturn:
        raise OneWayError(
            "this address only sends: the kernel does not receive on broadcast sockets",
            link=self.link,
            remedy="receive the answers on one socket for each receiver",
        )

    @property
    def dropped(self) -> int:
        """How many complete messages the kernel dropped because the receive buffer was full."""
        return self.drops.count()

    # --- closing

    def close_native(self) -> None:
        """Close the native socket; the kernel gives up what it is still sending."""
        self.drops.count()  # the last time
        try:
            self.transmission.close()
        finally:
            if self.begins:
                self.begins.close()

    def close_later(self, closed: "Future[None]") -> None:
        """Let a thread close the native socket, which is idle: that takes milliseconds. `closed` ends then."""
        self.drops.count()
        bound = self._binding
        try:
            closing.close_later(bound and (bound.interface, bound.rx.can_id), self.transmission.detach(), closed)
        finally:
            if self.begins:
                self.begins.close()

    def warn_of_losses(self) -> None:
        """Warn of dropped messages and of failures that no call asked about, now that none can any more."""
        try:
            self.drops.warn(self)
        finally:
            self.transmission.warn_of_failures()


def _check_rcvbuf(size: int | None) -> None:
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= _LARGEST_RCVBUF:
        raise OptionError(f"rcvbuf={size!r}: allowed is a number of bytes from 1 to {_LARGEST_RCVBUF}")


def _set_rcvbuf(sock: socket.socket, size: int) -> None:
    granted = native.set_receive_buffer(sock, size)
    if granted < size:
        warn(
            f"rcvbuf={size}: the kernel granted {granted} bytes; more with sudo sysctl net.core.rmem_max={size}",
            OptionIgnoredWarning,
        )
