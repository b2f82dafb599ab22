"""Functional requests: one request to many ECUs, and the replies of each.

A functional request is one single frame that every ECU receives (ISO 15765-2:2016, 8.3.2.4: 1 to n). Each ECU replies
with its own identifier, and a long reply needs a flow control to this ECU alone: so there is one socket to send with
and one for each ECU. All sockets buffer messages, so the order in which they are read makes no difference.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple

from .errors import MessagesDroppedWarning, TransferError, warn
from .sockets import AsyncIsoTpSocket, IsoTpSocket, ReceivedMessage


class Reply(NamedTuple):
    """One reply of one ECU."""

    can_id: int
    """Its CAN identifier, which says what ECU sent it; with CAN_EFF_FLAG if it has 29 bits."""
    data: bytes
    """The message; empty if the reception failed."""
    error: TransferError | None
    """Why the reception failed, or None."""
    timestamp_ns: int
    """When its last frame was received, or when the failure was found: nanoseconds since the epoch."""
    socket: Any
    """The socket that received it, for further messages to this ECU."""


_Outcome = ReceivedMessage | OSError
_Steps = Generator[tuple[Any, float, bool], _Outcome, None]


def functional_request(
    sender: IsoTpSocket,
    receivers: Iterable[IsoTpSocket],
    data: Any,
    *,
    timeout: float | None = None,
    begins_within: float | None = None,
    limit: int | None = 1,
) -> list[Reply]:
    """Send one functional request and return the replies, in the order of their time stamps.

    Messages that were received before the request is sent are no replies; they are dropped with a warning. During the
    call no other thread may receive on the receivers, or change their timeout.

    One of `timeout` and `begins_within` says how long it waits.

    Args:
        sender: a socket bound to a functional address: `Address.normal(txid=0x7DF, functional=True)`.
        receivers: a bound socket for each ECU, with the identifiers of its physical address.
        data: the request; it has to fit a single frame.
        timeout: seconds to wait for replies.
        begins_within: seconds in which replies have to begin; one that has begun is waited for to its end. Kernel
            sockets have to be made with `watch_begin=True` for that.
        limit: the call waits no longer for an ECU that has sent so many replies, and returns when all have; most
            requests have one. None: it waits for the whole time in any case.

    Raises:
        MessageSizeError: the request does not fit a single frame.
        OSError: it could not be sent, or the bus failed.

    Warns:
        MessagesDroppedWarning: there were old messages.
    """
    ecus, wait = tuple(receivers), _checked(timeout, begins_within, limit)
    replies: list[Reply] = []
    _drive(_drop_old(ecus))
    since_ns = sender._clock.time_ns()
    sender.send(data)
    _drive(_gather(ecus, wait, limit, since_ns, replies))
    return in_order(replies)


def gather(receivers: Iterable[IsoTpSocket], *, begins_within: float) -> list[Reply]:
    """Wait for one further reply of each ECU, which has to begin within so many seconds."""
    replies: list[Reply] = []
    _drive(_gather(tuple(receivers), _Wait(begins_within, True), 1, 0, replies))
    return in_order(replies)


async def async_functional_request(
    sender: AsyncIsoTpSocket,
    receivers: Iterable[AsyncIsoTpSocket],
    data: Any,
    *,
    timeout: float | None = None,
    begins_within: float | None = None,
    limit: int | None = 1,
) -> list[Reply]:
    """Send one functional request and return the replies, as `functional_request`, with asyncio sockets.

    `timeout` and `begins_within` are seconds.

    If it is cancelled, the replies that it has received are lost; others stay in their sockets.
    """
    ecus, wait = tuple(receivers), _checked(timeout, begins_within, limit)
    replies: list[Reply] = []
    await _async_drive(_drop_old(ecus))
    since_ns = sender._clock.time_ns()
    await sender.send(data)
    await _async_drive(_gather(ecus, wait, limit, since_ns, replies))
    return in_order(replies)


class _Wait(NamedTuple):
    seconds: float
    for_begin: bool
    """Whether replies have to begin in this time, or else to end."""


def _checked(timeout: float | None, begins_within: float | None, limit: int | None) -> _Wait:
    name, seconds = ("timeout", timeout) if begins_within is None else ("begins_within", begins_within)
    if timeout is not None and begins_within is not None:
        raise ValueError("timeout and begins_within were both given: give one of them")
    if seconds is None or not 0 <= seconds < float("inf"):
        raise ValueError(f"{name}={seconds!r}: allowed is a number of seconds, 0 or more")
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit!r}: allowed is 1 or more replies of each ECU, or None")
    return _Wait(seconds, begins_within is not None)


def in_order(replies: Iterable[Reply]) -> list[Reply]:
    """The replies in the order of their time stamps."""
    return sorted(replies, key=lambda reply: reply.timestamp_ns)


# Both kinds of sockets share these generators: each step is a socket to receive from, how many seconds to wait,
# and whether for the begin of a message.


def _drop_old(receivers: Sequence[Any]) -> _Steps:
    old = 0
    for receiver in receivers:
        while not _is_nothing((yield receiver, 0.0, False)):
            old += 1
    if old:
        warn(f"{old} message(s) that had come before the functional request were dropped", MessagesDroppedWarning)


def _gather(receivers: Sequence[Any], wait: _Wait, limit: int | None, since_ns: int, replies: list[Reply]) -> _Steps:
    deadlines = [(receiver, receiver._clock.monotonic() + wait.seconds) for receiver in receivers]
    for receiver, deadline in deadlines:
        can_id = receiver.address.rx.can_id
        count = 0
        while limit is None or count < limit:
            outcome = yield receiver, max(0.0, deadline - receiver._clock.monotonic()), wait.for_begin
            if _is_nothing(outcome):
                break
            if isinstance(outcome, ReceivedMessage) and outcome.begin_ns is not None and outcome.begin_ns < since_ns:
                continue  # it was being received when the request was sent
            count += 1
            if isinstance(outcome, TransferError):
                replies.append(Reply(can_id, b"", outcome, receiver._clock.time_ns(), receiver))
            elif isinstance(outcome, ReceivedMessage):
                replies.append(Reply(can_id, outcome.data, None, outcome.timestamp_ns, receiver))


def _is_nothing(outcome: _Outcome) -> bool:
    return isinstance(outcome, TimeoutError | BlockingIOError)


def _drive(steps: _Steps) -> None:
    try:
        step = next(steps)
        while True:
            step = steps.send(_receive(*step))
    except StopIteration:
        pass


async def _async_drive(steps: _Steps) -> None:
    try:
        step = next(steps)
        while True:
            step = steps.send(await _async_receive(*step))
    except StopIteration:
        pass


def _receive(receiver: IsoTpSocket, seconds: float, for_begin: bool) -> _Outcome:
    timeout = receiver.gettimeout()
    receiver.settimeout(seconds)
    try:
        return receiver.recv_message(begins_within=seconds if for_begin else None)
    except (TimeoutError, BlockingIOError, TransferError) as e:
        return e
    finally:
        receiver.settimeout(timeout)


async def _async_receive(receiver: AsyncIsoTpSocket, seconds: float, for_begin: bool) -> _Outcome:
    timeout = receiver.gettimeout()
    receiver.settimeout(seconds)
    try:
        return await receiver.recv_message(begins_within=seconds if for_begin else None)
    except (TimeoutError, BlockingIOError, TransferError) as e:
        return e
    finally:
        receiver.settimeout(timeout)
