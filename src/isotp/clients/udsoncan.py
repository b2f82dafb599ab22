"""UDS clients with udsoncan over our sockets: `Connection` for one ECU, `functional_request` for all ECUs at once.

udsoncan is an extra: pip install isotp[uds].
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from udsoncan import Request, Response
from udsoncan.connections import BaseConnection
from udsoncan.exceptions import TimeoutException

from .. import functional
from ..address import Address, AsymmetricAddress
from ..deadline import Deadline
from ..errors import TransferError
from ..sockets import MSG_DONTWAIT, MSG_PEEK, IsoTpSocket

__all__ = ["Connection", "EcuResponse", "functional_request"]

_PENDING = Response.Code.RequestCorrectlyReceived_ResponsePending


class Connection(BaseConnection):
    """A udsoncan connection over a blocking socket, `isotp.socket` or `isotp.SoftSocket`; it has no thread.

        with Client(Connection(sock)) as client:
            client.change_session(3)

    `wait_frame`, and so P2 and P2* of a udsoncan client, count to the first frame of a reply (ISO 14229-2). A reply
    that has begun is waited for to its end, however long it takes.

    A reply that breaks off, a request that the ECU does not take, an interface that went down: these are raised as
    the `isotp.IsoTpError` they are; only timeouts become udsoncan's `TimeoutException`. Other threads may send on the
    connection or its socket meanwhile, such as a TesterPresent to which no response is wanted.

    Args:
        socket: the socket, bound when the connection is opened at the latest. Closing the connection leaves it open.
        name: part of the name of udsoncan's logger.
    """

    def __init__(self, socket: IsoTpSocket, name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(socket, IsoTpSocket):
            raise TypeError(f"a connection needs an isotp.socket or an isotp.SoftSocket, not {socket!r}")
        self.socket = socket
        """The socket, which stays yours to close."""
        self._is_open = False
        self._emptied_ns = 0

    def open(self) -> "Connection":
        """Open the connection.

        Raises:
            NotBoundError: the socket is not bound.
            OptionError: it is a kernel socket that was made without `watch_begin=True`.
        """
        with suppress(BlockingIOError, TransferError):  # no message, or an old failure: what matters is that it can
            self.socket.recv(flags=MSG_PEEK | MSG_DONTWAIT, begins_within=0)
        self._is_open = True
        return self

    def close(self) -> None:
        """Close the connection, but not the socket; it can be opened again."""
        self._is_open = False

    def is_open(self) -> bool:
        """Whether the connection is open, and its socket, too."""
        return self._is_open and not self.socket.closed

    def empty_rxqueue(self) -> None:
        """Drop what was received, and also a message that is just being received; a udsoncan client asks for that."""
        self._emptied_ns = self.socket._clock.time_ns()
        while True:
            try:
                self.socket.recv(flags=MSG_DONTWAIT)
            except BlockingIOError:
                return
            except TransferError:  # of an old message
                pass

    def specific_send(self, payload: bytes, timeout: float | None = None) -> None:
        """Send a request, and return when it is on the bus.

        Args:
            payload: the message.
            timeout: seconds, in place of the socket's timeout; see `IsoTpSocket.send`.

        Raises:
            TimeoutException: another message is still being sent, or the ECU asks to wait.
            IsoTpError: the message was not transferred, or the interface is down.
        """
        previous = self.socket.gettimeout()
        try:
            if timeout is not None:
                self.socket.settimeout(timeout)
            self.socket.send(payload)
        except TimeoutError as e:
            raise TimeoutException(str(e)) from e
        finally:
            if timeout is not None:
                self.socket.settimeout(previous)

    def specific_wait_frame(self, timeout: float | None = None) -> bytes:
        """Receive a message.

        Args:
            timeout: seconds in which it has to begin; None: the socket's timeout.

        Raises:
            TimeoutException: none began in time.
            IsoTpError: it broke off, or the interface is down.
        """
        deadline = self.socket._deadline_after(timeout)
        while True:
            try:
                message = self.socket.recv_message(begins_within=deadline.left())
            except TimeoutError as e:
                raise TimeoutException(str(e)) from e
            if message.begin_ns is None or message.begin_ns >= self._emptied_ns:
                return message.data


class EcuResponse(NamedTuple):
    """What one ECU responds to a functional request."""

    address: Address | AsymmetricAddress
    """The address of the socket that received it, which says what ECU sent it."""
    response: Response | None
    """Positive or negative; a negative one with code 0x78 if no other came. None if its reception failed."""
    error: TransferError | None
    """Why the reception failed, or None."""
    socket: IsoTpSocket
    """The socket that received it, for further requests to this ECU: `Client(Connection(socket))`."""


def functional_request(
    sender: IsoTpSocket,
    receivers: Iterable[IsoTpSocket],
    request: Request,
    *,
    p2_timeout: float = 1.0,
    p2_star_timeout: float = 5.0,
    request_timeout: float | None = 5.0,
) -> list[EcuResponse]:
    """Send one request to all ECUs and return the response of each one that responds, in the order of their ends.

    An ECU that asks for more time (negative response 0x78) is waited for. No response is no error: an empty list. The
    defaults are those of udsoncan's client.

    Args:
        sender: a socket bound to a functional address: `Address.normal(txid=0x7DF, functional=True)`.
        receivers: a bound socket for each ECU, with the identifiers of its physical address. A kernel socket has to
            be made with `watch_begin=True`.
        request: the request; it has to fit a single frame.
        p2_timeout: seconds in which responses have to begin; 0: only send, for a request to which none is wanted.
        p2_star_timeout: the same after a response 0x78, in seconds.
        request_timeout: seconds in which the last response has to begin; None: no limit.

    Raises:
        MessageSizeError: the request does not fit a single frame.
        OSError: it could not be sent, or the bus failed.

    Warns:
        MessagesDroppedWarning: there were old messages.
    """
    deadline = sender._deadline_after(request_timeout)
    payload = request.get_payload()
    replies = functional.functional_request(sender, receivers, payload, begins_within=_at_most(p2_timeout, deadline))
    last = {reply.socket: reply for reply in replies}
    pending = bytes((0x7F, payload[0], _PENDING))
    while (ecus := [reply.socket for reply in replies if reply.data == pending]) and not deadline.has_passed():
        replies = functional.gather(ecus, begins_within=_at_most(p2_star_timeout, deadline))
        last |= {reply.socket: reply for reply in replies}
    return [_ecu_response(reply) for reply in functional.in_order(last.values())]


def _at_most(seconds: float, deadline: Deadline) -> float:
    left = deadline.left()
    return seconds if left is None else min(seconds, left)


def _ecu_response(reply: functional.Reply) -> EcuResponse:
    response = None if reply.error else Response.from_payload(reply.data)
    return EcuResponse(reply.socket.address, response, reply.error, reply.socket)
