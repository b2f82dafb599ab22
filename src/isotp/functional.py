"""Functional requests: one request to many ECUs, and what each of them replies.

A functional request is one single frame that every ECU hears (ISO 15765-2:2016, 9.3.3: 1 to n). The replies come from
each ECU to its own identifier, may be long, and then need a flow control of their own: so there is one socket to ask
and one for each ECU. All of them buffer, hence it makes no difference in which order they are read.
"""

import time
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple

from .errors import MessagesDroppedWarning, TransferError, warn
from .sockets import AsyncIsoTpSocket, IsoTpSocket, ReceivedMessage


class Reply(NamedTuple):
    """What one ECU replied."""

    can_id: int
    """The CAN identifier it came with: which ECU it was; with CAN_EFF_FLAG if it has 29 bits."""
    data: bytes
    """The message; empty if it broke off."""
    error: TransferError | None
    """Why it broke off, if it did."""
    timestamp_ns: int
    """When its last frame was received, or when it was found to have broken off: nanoseconds since the epoch."""
    socket: Any
    """The socket it came through: the way to this ECU alone."""


_Outcome = ReceivedMessage | OSError
_Steps = Generator[tuple[Any, float], _Outcome, None]


def functional_request(
    sender: IsoTpSocket, receivers: Iterable[IsoTpSocket], data: Any, *, timeout: float, limit: int | None = 1
) -> list[Reply]:
    """Send one functional request and gather the replies, in the order of their time stamps.

    Messages that wait in a receiver before the request is sent are no replies; they are dropped with a warning.
    Meanwhile no other call may receive on the receivers, or change their timeout.

    Args:
        sender: a socket bound to a functional address: `Address.normal(txid=0x7DF, functional=True)`.
        receivers: a bound socket for each ECU, with the identifiers of its physical address.
        data: the request; it has to fit a single frame.
        timeout: seconds after which no more replies are waited for.
        limit: replies of one ECU after which it is waited for no longer, as most requests have one; None: whatever
            comes within `timeout`. With a limit it is over when all have replied.

    Raises:
        MessageSizeError: the request does not fit a single frame.
        OSError: it could not be sent, or the bus failed.

    Warns:
        MessagesDroppedWarning: there were old messages.
    """
    ecus = _checked(receivers, timeout, limit)
    replies: list[Reply] = []
    _drive(_drop_old(ecus))
    sender.send(data)
    _drive(_gather(ecus, timeout, limit, replies))
    return _in_order(replies)


async def async_functional_request(
    sender: AsyncIsoTpSocket,
    receivers: Iterable[AsyncIsoTpSocket],
    data: Any,
    *,
    timeout: float,
    limit: int | None = 1,
) -> list[Reply]:
    """Send one functional request and gather the replies, as `functional_request`, with asyncio sockets.

    When it is cancelled, replies not gathered yet stay where they are, and those gathered are lost.
    """
    ecus = _checked(receivers, timeout, limit)
    replies: list[Reply] = []
    await _async_drive(_drop_old(ecus))
    await sender.send(data)
    await _async_drive(_gather(ecus, timeout, limit, replies))
    return _in_order(replies)


def _checked(receivers: Iterable[Any], timeout: float, limit: int | None) -> Sequence[Any]:
    if not timeout >= 0 or timeout == float("inf"):
        raise ValueError(f"timeout={timeout!r}: allowed is a number of seconds, 0 or more")
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit!r}: allowed is 1 or more replies of each ECU, or None")
    return tuple(receivers)


def _in_order(replies: list[Reply]) -> list[Reply]:
    return sorted(replies, key=lambda reply: reply.timestamp_ns)


# What is to be done, as steps: receive from a socket, for so many seconds. Both kinds of sockets take them.


def _drop_old(receivers: Sequence[Any]) -> _Steps:
    old = 0
    for receiver in receivers:
        while not _is_nothing((yield receiver, 0.0)):
            old += 1
    if old:
        warn(f"{old} message(s) that had come before the functional request were dropped", MessagesDroppedWarning)


def _gather(receivers: Sequence[Any], timeout: float, limit: int | None, replies: list[Reply]) -> _Steps:
    deadline = time.monotonic() + timeout
    for receiver in receivers:
        can_id = receiver.address.rx.can_id
        count = 0
        while limit is None or count < limit:
            outcome = yield receiver, max(0.0, deadline - time.monotonic())
            if _is_nothing(outcome):
                break
            count += 1
            if isinstance(outcome, TransferError):
                replies.append(Reply(can_id, b"", outcome, time.time_ns(), receiver))
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


def _receive(receiver: IsoTpSocket, seconds: float) -> _Outcome:
    timeout = receiver.gettimeout()
    receiver.settimeout(seconds)
    try:
        return receiver.recv_message()
    except (TimeoutError, BlockingIOError, TransferError) as e:
        return e
    finally:
        receiver.settimeout(timeout)


async def _async_receive(receiver: AsyncIsoTpSocket, seconds: float) -> _Outcome:
    timeout = receiver.gettimeout()
    receiver.settimeout(seconds)
    try:
        return await receiver.recv_message()
    except (TimeoutError, BlockingIOError, TransferError) as e:
        return e
    finally:
        receiver.settimeout(timeout)
