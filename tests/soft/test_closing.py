"""Ends at awkward moments: of the bus, of a callback, of a loop, of close itself."""

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import isotp
from isotp.bus import CanFrame, VirtualBus
from isotp.engine import Event, TransferFailed

from ..waiting import until

LONG = bytes(100)


class Unplugged(VirtualBus):
    """Fails for good when it is to send, and again when it is closed."""

    def send(self, frames: Sequence[CanFrame]) -> int:
        raise OSError("no such device")

    def close(self) -> None:
        super().close()
        raise OSError("cannot be closed")


def bound(bus: VirtualBus, rxid: int, txid: int, **how: Any) -> isotp.SoftSocket:
    s = isotp.SoftSocket(bus, 5, **how)
    s.bind(rxid=rxid, txid=txid)
    return s


def test_a_call_in_recv_ends_when_the_bus_fails_as_this_socket_sends() -> None:
    with bound(Unplugged(), 1, 2) as s:
        outcome: list[BaseException] = []

        def receive() -> None:
            try:
                s.recv()
            except OSError as e:
                outcome.append(e)

        thread = threading.Thread(target=receive)
        thread.start()
        until(lambda: s._end.inbox.waiters)
        with pytest.raises(isotp.InterfaceError, match="no such device"):
            s.send(LONG)
        thread.join(5)
        assert isinstance(outcome[0], isotp.InterfaceError)
    assert not [t for t in threading.enumerate() if t.name.startswith("isotp")]


def test_a_callback_that_exits_ends_no_thread() -> None:
    bus = VirtualBus()

    def leave(event: Event) -> None:
        raise SystemExit("enough")

    with bound(bus, 1, 2) as a, bound(bus, 2, 1, on_event=leave) as b:
        a.send(b"x")
        until(lambda: b._end.bound and b._end.bound.callback_error)
        with pytest.raises(SystemExit, match="enough"):
            b.recv()
        a.send(b"y")


def test_a_callback_may_close_its_socket_and_bind_another() -> None:
    bus = VirtualBus()
    sockets: list[isotp.SoftSocket] = []

    def reconnect(event: Event) -> None:
        if isinstance(event, TransferFailed):
            with pytest.warns(isotp.UnconfirmedSendWarning, match="no room"):
                sockets[0].close()
            sockets.append(bound(bus, 1, 2))

    sockets.append(bound(bus, 1, 2, on_event=reconnect))
    bus.listen(lambda frame: bus.inject(CanFrame(1, b"\x32\0\0")) if frame.data[0] >> 4 == 1 else None)
    sockets[0].send(LONG, confirm=False)
    until(lambda: len(sockets) == 2)
    sockets[1].send(b"x")
    sockets[1].close()


def interrupted(call: Callable[[], object], function_name: str) -> None:
    """Make `call`, with a KeyboardInterrupt at the beginning of the function named."""

    def trace(frame: Any, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name == function_name:
            sys.settrace(None)
            raise KeyboardInterrupt

    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
    finally:
        sys.settrace(None)


@pytest.mark.parametrize("where", ["refuse_calls", "waits_for_end", "wait", "release"])
def test_close_that_is_interrupted_closes_all_the_same_or_when_called_again(where: str) -> None:
    s = bound(VirtualBus(), 1, 2)
    interrupted(s.close, where)
    s.close()
    assert s.closed
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("isotp")])


def test_a_loop_that_has_ended_keeps_no_bus() -> None:
    bus = VirtualBus()

    async def begin() -> isotp.AsyncSoftSocket:
        s = isotp.AsyncSoftSocket(bus, on_event=lambda event: None)
        s.bind(rxid=1, txid=2)
        await s.send(LONG, confirm=False)
        return s

    s = asyncio.run(begin())
    with pytest.warns(isotp.UnconfirmedSendWarning, match="no event loop is running"):
        s.close()
    bound(bus, 1, 2).close()


def test_a_message_goes_on_in_the_loop_that_closes_the_socket() -> None:
    bus = VirtualBus()
    a, b = isotp.AsyncSoftSocket(bus), isotp.AsyncSoftSocket(bus)
    b.set_fc_opts(stmin=1)
    a.bind(rxid=1, txid=2)
    b.bind(rxid=2, txid=1)
    asyncio.run(a.send(LONG, confirm=False))

    async def end() -> None:
        a.close()
        await a.wait_closed()
        assert await b.recv() == LONG
        b.close()

    asyncio.run(end())
