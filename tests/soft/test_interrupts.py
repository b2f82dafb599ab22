"""Signals and forks: what a handler raises comes out of the call it interrupted, and the sockets go on."""

import contextlib
import gc
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

import pytest

import isotp
from isotp.can_frame import CanFrame

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here"),
    pytest.mark.timeout(method="thread"),  # the other method has a SIGALRM of its own
]
LONG = bytes(i % 251 for i in range(4000))
Interrupt = Callable[[float, Callable[[], object]], None]


class AlarmError(Exception):
    """What a program's own handler raises."""


class HardAlarm(BaseException):
    """What a handler raises that nothing should catch."""


def raising(error: type[BaseException]) -> Callable[[], NoReturn]:
    def handler() -> NoReturn:
        raise error

    return handler


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    """`interrupt(seconds, handler)` lets a signal come in so many seconds.

    No garbage is collected meanwhile: Python ignores what is raised in a finalizer.
    """
    before = signal.getsignal(signal.SIGALRM)
    gc.disable()

    def arm(seconds: float, handler: Callable[[], object]) -> None:
        def on_signal(number: int, frame: FrameType | None) -> None:
            handler()

        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    yield arm
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    gc.enable()


@contextlib.contextmanager
def pair(bus: isotp.VirtualBus) -> Iterator[tuple[isotp.SoftSocket, isotp.SoftSocket]]:
    with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(bus, 30) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        yield a, b


def send_until(arm: Callable[[], None], a: isotp.SoftSocket, b: isotp.SoftSocket | None, message: bytes) -> NoReturn:
    """Arm the signal, and send again and again until it comes."""
    arm()
    while True:
        a.send(message)
        assert b is None or b.recv() == message


@pytest.mark.parametrize("message", [b"short", LONG], ids=["short", "long"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, AlarmError, HardAlarm])
def test_an_exception_anywhere_in_send_and_recv(
    interrupt: Interrupt, error: type[BaseException], message: bytes
) -> None:
    with pair(isotp.VirtualBus()) as (a, b):
        for attempt in range(40):
            with pytest.raises(error):
                send_until(lambda: interrupt(0.002 + 0.00013 * attempt, raising(error)), a, b, message)  # noqa: B023
            with contextlib.suppress(isotp.IsoTpError):
                a.confirm()
            a.send(b"x")
            while b.recv() != b"x":
                pass


@pytest.mark.parametrize("attempt", range(10))
def test_a_failure_is_not_lost_with_the_call(interrupt: Interrupt, attempt: int) -> None:
    """The peer refuses the message about when the signal comes: one of the two calls raises that, or close warns."""
    bus = isotp.VirtualBus()
    with isotp.SoftSocket(bus, 30) as a:
        a.bind(rxid=1, txid=2)
        begun: list[CanFrame] = []

        def refuse(frame: CanFrame) -> None:
            if frame.data[0] >> 4 == 1:
                begun.append(frame)
                bus.inject(CanFrame(1, b"\x32\0\0"))

        bus.listen(refuse)
        armed: list[bool] = []

        def alarm() -> None:
            if armed:
                del armed[:]
                raise AlarmError

        for round_ in range(50):
            told = 0
            begun.clear()
            try:
                try:
                    armed.append(True)
                    interrupt(0.0001 + 0.00001 * attempt + 0.000002 * round_, alarm)
                    a.send(LONG)
                except isotp.BufferOverflowError:
                    told = 1
                finally:
                    del armed[:]
            except AlarmError as e:
                told |= isinstance(e.__context__, isotp.BufferOverflowError)
            try:
                a.confirm()
            except isotp.BufferOverflowError:
                told += 1
            assert told == 1 or (told == 0 and not begun)


@pytest.mark.parametrize("attempt", range(20))
def test_a_signal_handler_closes_the_socket(interrupt: Interrupt, attempt: int) -> None:
    a = isotp.SoftSocket(isotp.VirtualBus(frame_ns=1))
    a.bind(rxid=1, txid=2)
    with pytest.raises(isotp.SocketClosedError):
        send_until(lambda: interrupt(0.001 + 0.0001 * attempt, a.close), a, None, b"1234567")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("isotp")]


def test_a_signal_handler_sends_on_the_socket_whose_call_it_interrupted(interrupt: Interrupt) -> None:
    with pair(isotp.VirtualBus()) as (a, b):
        interrupt(0.05, lambda: b.send(LONG))
        assert a.recv() == LONG
        interrupt(0.05, lambda: a.send(b"to myself") and b.send(b"done"))
        assert a.recv() == b"done"
        assert b.recv() == b"to myself"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of forks with threads; this is about one
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told() -> None:
    bus = isotp.VirtualBus()
    with pair(bus) as (a, b):
        holding, release = threading.Event(), threading.Event()

        def hold() -> None:
            with bus._lock:
                holding.set()
                release.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(30)
        child = os.fork()
        if not child:
            os._exit(in_child(bus, a))
        release.set()
        holder.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        a.send(LONG)
        assert b.recv() == LONG


def in_child(bus: Any, inherited: isotp.SoftSocket) -> int:
    """0 if the inherited socket says why it is of no use, and new ones work."""
    signal.alarm(20)
    try:
        try:
            inherited.recv()
        except isotp.InterfaceError as e:
            if "fork" not in str(e):
                return 2
        inherited.close()
        with pair(bus) as (c, d):
            c.send(LONG)
            return 0 if d.recv() == LONG else 4
    except BaseException:
        traceback.print_exc()
        return 1
