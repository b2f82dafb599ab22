"""What comes of faults with the kernel's sockets, and on its CAN interfaces; the rest is in tests/testing."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import isotp
from isotp import Faults
from isotp.testing.outages import bus_down, bus_gone, bus_off
from isotp.testing.wire import Wire

from ..pages import blocks
from ..testing.faulty_links import MESSAGE, ROWS, VM_KINDS, Link, Row, open_link, result, try_row
from ..waiting import until
from . import conftest
from .conftest import Links

SOFT_KINDS = [kind for kind in VM_KINDS if "kernel" not in kind]


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("kind", VM_KINDS)
def test_what_comes_of_it(new_link: Links, kind: str, row: Row) -> None:
    with ExitStack() as end:
        try_row(end, kind, row, (new_link(), new_link()))


@pytest.fixture(params=VM_KINDS)
def link(request: pytest.FixtureRequest, ends: tuple[conftest.Link, conftest.Link]) -> Iterator[Link]:
    """A link of each kind; N_As is short, where it can be set."""
    with ExitStack() as end:
        yield open_link(end, request.param, None, ends, ("N_TIMEOUT_A", ""))


@pytest.fixture
def ends(new_link: Links) -> tuple[conftest.Link, conftest.Link]:
    """The interfaces of both nodes."""
    return new_link(), new_link()


def check_works(link: Link) -> None:
    """Messages get through."""
    link.a.send(b"fine")
    assert link.b.recv() == b"fine"


def test_an_interface_that_is_down(link: Link, ends: tuple[conftest.Link, conftest.Link]) -> None:
    ends[0].down()
    for _ in range(2):
        with pytest.raises(isotp.InterfaceDownError):
            link.a.send(b"lost")
    ends[0].up()
    check_works(link)


@pytest.mark.parametrize("link", SOFT_KINDS, indirect=True)
def test_outages_of_a_bus(link: Link) -> None:
    with bus_off(link.bus):
        assert result(lambda: link.a.send(b"lost")) == "N_TIMEOUT_A"
    with bus_down(link.bus), pytest.raises(isotp.InterfaceDownError):
        link.a.send(b"lost")
    check_works(link)
    with bus_gone(link.bus), pytest.raises(isotp.InterfaceError, match="is gone"):
        link.a.send(b"lost")


@pytest.mark.parametrize("link", SOFT_KINDS, indirect=True)
def test_an_interface_that_takes_no_frames(link: Link, ends: tuple[conftest.Link, conftest.Link]) -> None:
    ends[0].take_no_frame()
    assert result(lambda: link.a.send(b"lost")) == "N_TIMEOUT_A"
    ends[0].take_frames_again()
    check_works(link)


def test_a_wire_that_is_down(ends: tuple[conftest.Link, conftest.Link]) -> None:
    with Wire(*ends) as wire, isotp.socket(5) as a, isotp.socket(30) as b:
        a.bind(ends[0], rxid=1, txid=2)
        b.bind(ends[1], rxid=2, txid=1)
        wire.down()
        with pytest.raises(isotp.FlowControlTimeoutError):
            a.send(bytes(100))
        wire.up()
        a.send(b"fine")
        assert b.recv() == b"fine"


def test_a_wire_survives_an_interface_that_goes_down(ends: tuple[conftest.Link, conftest.Link]) -> None:
    with Wire(*ends), isotp.socket(30) as b:
        b.bind(ends[1], rxid=2, txid=1)
        ends[0].down()
        ends[0].up()
        with isotp.socket(30) as a:
            a.bind(ends[0], rxid=1, txid=2)
            a.send(bytes(100))
        assert b.recv() == bytes(100)


def test_a_wire_ends_with_its_interface(ends: tuple[conftest.Link, conftest.Link]) -> None:
    def use() -> None:
        with Wire(*ends) as wire:
            ends[0].delete()
            until(lambda: not wire._thread.is_alive())

    with pytest.raises(isotp.InterfaceNotFoundError, match="was removed"):
        use()


def test_two_faults_of_kernel_sockets(ends: tuple[conftest.Link, conftest.Link]) -> None:
    """A message that gets through all the same: the sender's frames are late and the receiver waits."""
    faults = Faults().delay("002: CF", 1, seconds=0.1).replace("001: FC", 1, by=["FC WAIT ..", "FC CTS bs=1"])
    with Wire(*ends, faults), isotp.socket(5) as a, isotp.socket(5) as b:
        for s in (a, b):
            s.set_fc_opts(bs=1)
        a.bind(ends[0], rxid=1, txid=2)
        b.bind(ends[1], rxid=2, txid=1)
        a.send(bytes(100))
        assert b.recv() == bytes(100)
    assert len(faults.done) == 2


@pytest.mark.parametrize(("wait", "result_of_send"), [("FC WAIT", "N_OK"), ("FC WAIT ..", "N_TIMEOUT_Bs")])
def test_the_kernel_takes_bs_from_a_first_wait(
    ends: tuple[conftest.Link, conftest.Link], wait: str, result_of_send: str
) -> None:
    """With BS 0 it needs no second flow control."""
    faults = Faults().replace("FC", 1, by=[wait, "FC CTS bs=1"]).lose("FC", since=2)
    with ExitStack() as end:
        link = open_link(end, "kernel", faults, ends)
        assert result(lambda: link.a.send(MESSAGE)) == result_of_send


def test_the_python_of_the_page(ends: tuple[conftest.Link, conftest.Link], capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in blocks("docs/faults.md", "python") if block.mark]
    exec(block.code.replace("vcan0", ends[0]).replace("vcan1", ends[1]), {})
    assert "N_WRONG_SN" in capsys.readouterr().out
