"""Signals and forks: nothing is swallowed, nothing hangs, and the sockets go on."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

import pytest

import isotp
from isotp.bus.virtual import VirtualBus
from isotp.soft.interrupts import put_off

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
LONG = bytes(i % 251 for i in range(4000))


def send_for_ever(a: isotp.SoftSocket, b: isotp.SoftSocket | None, message: bytes) -> NoReturn:
    while True:
        a.send(message)
        assert b is None or b.recv() == message


@pytest.fixture
def alarm() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_ctrl_c_is_put_off_to_the_end_and_not_lost() -> None:
    done = []

    def interrupted() -> None:
        with put_off():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_is_left_alone() -> None:
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        with put_off():
            signal.raise_signal(signal.SIGINT)
            assert came == [True]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_no_signals() -> None:
    thread = threading.Thread(target=lambda: contextlib.ExitStack().enter_context(put_off()))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("attempt", range(20))
def test_ctrl_c_anywhere_in_send_and_recv(attempt: int, alarm: None) -> None:
    """An exception out of any other handler, which cannot be put off, does no harm either."""
    bus = VirtualBus()
    with isotp.SoftSocket(bus, 5) as a, isotp.SoftSocket(bus, 5) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, 0.005 + 0.0007 * attempt)
        with pytest.raises(KeyboardInterrupt):
            send_for_ever(a, b, LONG)
        with contextlib.suppress(isotp.IsoTpError):
            a.confirm()
        a.send(b"x")
        while b.recv() != b"x":
            pass


@pytest.mark.parametrize("attempt", range(20))
def test_a_signal_handler_closes_the_socket(attempt: int, alarm: None) -> None:
    bus = VirtualBus(frame_ns=1)
    a = isotp.SoftSocket(bus)
    a.bind(rxid=1, txid=2)
    signal.signal(signal.SIGALRM, lambda *_: a.close())
    signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0001 * attempt)
    with pytest.raises(isotp.SocketClosedError):
        send_for_ever(a, None, b"1234567")
    for thread in threading.enumerate():
        if thread.name.startswith("isotp"):
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of forks with threads; this is about one
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told() -> None:
    bus = VirtualBus()
    with isotp.SoftSocket(bus, 5) as a, isotp.SoftSocket(bus, 5) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        holding, release = threading.Event(), threading.Event()

        def hold() -> None:
            with a._hub.lock:
                holding.set()
                release.wait(5)

        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(5)
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    a.recv()
                except isotp.InterfaceError as e:
                    status = 0 if "fork" in str(e) else 2
                a.close()
                c, d = isotp.SoftSocket(bus, 1), isotp.SoftSocket(bus, 1)
                c.bind(rxid=1, txid=2)
                d.bind(rxid=2, txid=1)
                c.send(LONG)
                status += 0 if d.recv() == LONG else 4
            os._exit(status)
        release.set()
        holder.join()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        a.send(LONG)
        assert b.recv() == LONG
