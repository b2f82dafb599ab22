"""Outages: a bus that takes no frames, an interface that is down, an adapter that is gone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

import isotp
from isotp.testing.outages import bus_down, bus_gone, bus_off

from ..waiting import until
from .faulty_links import HOST_KINDS, MESSAGE, Link, name_of, open_link


@pytest.fixture(params=HOST_KINDS)
def link(request: pytest.FixtureRequest) -> Iterator[Link]:
    """A link of each kind; N_As is short."""
    with ExitStack() as end:
        yield open_link(end, request.param, None, name_of(request, request.param), ("N_TIMEOUT_A", ""))


def check_works(link: Link) -> None:
    """Messages get through."""
    link.a.send(MESSAGE)
    assert link.b.recv() == MESSAGE


@pytest.mark.parametrize("message", [b"short", MESSAGE])
def test_a_bus_that_is_off(link: Link, message: bytes) -> None:
    with bus_off(link.bus):
        for _ in range(2):
            with pytest.raises(isotp.TransmitTimeoutError) as caught:
                link.a.send(message)
            assert caught.value.n_result is isotp.N_Result.N_TIMEOUT_A
    check_works(link)


def test_an_interface_that_is_down(link: Link) -> None:
    with ThreadPoolExecutor() as pool:
        call = pool.submit(link.a.recv)
        until(lambda: call.running())
        with bus_down(link.bus):
            with pytest.raises(isotp.InterfaceDownError, match="is down"):
                call.result(30)
            for _ in range(2):
                with pytest.raises(isotp.InterfaceDownError):
                    link.a.send(MESSAGE)
    link.b.settimeout(0)
    with pytest.raises((isotp.InterfaceDownError, BlockingIOError)):  # b is told, too, if it is on the same bus
        link.b.recv()
    link.b.settimeout(30)
    check_works(link)


def test_an_adapter_that_is_gone(link: Link) -> None:
    with ThreadPoolExecutor() as pool:
        call = pool.submit(link.a.recv)
        until(lambda: call.running())
        with bus_gone(link.bus), pytest.raises(isotp.InterfaceError, match="is gone"):
            call.result(30)
    with pytest.raises(isotp.InterfaceError, match="is gone"):
        link.a.send(MESSAGE)


def test_a_new_adapter() -> None:
    bus = isotp.VirtualBus()
    for _ in range(2):
        with isotp.SoftSocket(bus) as s, isotp.SoftSocket(bus) as late:
            s.bind(rxid=1, txid=2)
            assert s.send(b"x") == 1
            with bus_gone(bus), pytest.raises(isotp.InterfaceError):
                late.bind(rxid=3, txid=4)


def test_no_socket_can_be_bound_while_it_is_down() -> None:
    bus = isotp.VirtualBus()
    with isotp.SoftSocket(bus) as s, bus_down(bus), pytest.raises(isotp.InterfaceDownError):
        s.bind(rxid=1, txid=2)
    with isotp.SoftSocket(bus) as s:
        s.bind(rxid=1, txid=2)
        s.send(b"x")
