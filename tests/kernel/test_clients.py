"""UDS clients, and other people's packages, over the kernel."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from udsoncan.connections import IsoTPSocketConnection, SocketConnection

import isotp
from isotp.clients.udsoncan import Connection

from ..clients.others import folder_of, run, run_tests_of
from ..clients.scenarios import DIDS, SCENARIOS, Open, address_of, an_ecu, client_of, download
from ..clients.snippets import ON_INTERFACE
from ..clients.snippets import run as run_snippet
from .conftest import Background, Bus, Link


@pytest.fixture
def open_socket(vcan: Link) -> Iterator[Open]:
    """Opens bound sockets on `vcan` and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def open_it(address: isotp.Address) -> isotp.socket:
            socket = stack.enter_context(isotp.socket(watch_begin=True))
            socket.bind(vcan, address)
            return socket

        yield open_it


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: Callable[[Open], None], open_socket: Open) -> None:
    scenario(open_socket)


def test_a_socket_that_does_not_see_when_messages_begin(vcan: Link) -> None:
    with isotp.socket(watch_begin=True) as unbound, pytest.raises(isotp.NotBoundError, match="bind"):
        Connection(unbound).open()
    with isotp.socket() as socket:
        socket.bind(vcan, address_of(0x7E0))
        with pytest.raises(isotp.OptionError, match="watch_begin=True"):
            Connection(socket).open()


def test_p2_counts_to_the_first_frame_of_a_reply(open_socket: Open, vcan: Link) -> None:
    did, p2_s = 0xF1C7, 2.0  # 85 consecutive frames: 3.4 s
    with an_ecu(open_socket), isotp.socket(watch_begin=True) as socket:
        socket.set_fc_opts(stmin=isotp.STmin.from_ms(40))
        socket.bind(vcan, address_of(0x7E0))
        with client_of(Connection(socket), p2_timeout=p2_s) as client:
            assert client.read_data_by_identifier([did]).service_data.values[did] == DIDS[did]


def test_a_reply_that_breaks_off_is_no_timeout(open_socket: Open, bus: Bus, background: Background) -> None:
    def reply() -> None:
        assert bus.recv().can_id == 0x7E0
        bus.send(0x7E8, bytes.fromhex("101462f190010203"))
        assert bus.recv().data[0] == 0x30
        bus.send(0x7E8, bytes.fromhex("2504050607080910"))

    replying = background(reply)
    with client_of(Connection(open_socket(address_of(0x7E0)))) as client, pytest.raises(isotp.WrongSequenceNumberError):
        client.read_data_by_identifier([0xF190])
    replying.result()


def test_old_messages_are_no_replies(open_socket: Open, bus: Bus, background: Background) -> None:
    """Neither a complete one nor one that is just being received."""
    socket = open_socket(address_of(0x7E0))
    bus.send(0x7E8, bytes.fromhex("0462f19000"))
    bus.send(0x7E8, bytes.fromhex("100962f190000000"))
    assert bus.recv().data[0] == 0x30

    def reply() -> None:
        assert bus.recv().data[:4] == bytes.fromhex("0322f190")
        bus.send(0x7E8, bytes.fromhex("21000000"))
        bus.send(0x7E8, bytes.fromhex("0462f19001"))

    replying = background(reply)
    with client_of(Connection(socket)) as client:
        assert client.read_data_by_identifier([0xF190]).service_data.values == {0xF190: b"\x01"}
    replying.result()


# --- docs/use-with.md

PRINTED = ("PositiveResponse\n", "", "rxid=0x7E8 txid=0x7E0: PositiveResponse\n", "PositiveResponse\n", "7e00\n")


@pytest.mark.parametrize(("snippet", "printed"), list(zip(ON_INTERFACE, PRINTED, strict=True)))
def test_snippet(snippet: str, printed: str, open_socket: Open, vcan: Link, capsys: pytest.CaptureFixture[str]) -> None:
    with an_ecu(open_socket):
        run_snippet(snippet, '"can0"', repr(str(vcan)))
    assert capsys.readouterr().out == printed


# --- udsoncan's own connections


def test_isotp_socket_connection(vcan: Link) -> None:
    """It makes the socket, whose timeout of 0.1 s is below the time that a block takes."""

    def open_slow(address: isotp.Address) -> isotp.socket:
        socket = isotp.socket()
        socket.set_fc_opts(stmin=isotp.STmin.from_us(300))
        socket.bind(vcan, address)
        return socket

    with an_ecu(open_slow) as ecu, client_of(IsoTPSocketConnection(vcan, address_of(0x7E0))) as client:
        download(client, ecu)


def test_isotp_socket_connection_with_a_socket(open_socket: Open, vcan: Link) -> None:
    socket = isotp.socket(0.1)
    socket.set_fc_opts(bs=8)
    with an_ecu(open_socket), client_of(IsoTPSocketConnection(vcan, address_of(0x7E0), tpsock=socket)) as client:
        assert client.read_data_by_identifier([0xF1C7]).service_data.values[0xF1C7] == DIDS[0xF1C7]


def test_socket_connection(open_socket: Open) -> None:
    tester: Any = open_socket(address_of(0x7E0))
    with an_ecu(open_socket), client_of(SocketConnection(tester)) as client:
        assert client.read_data_by_identifier([0xF1C7]).service_data.values[0xF1C7] == DIDS[0xF1C7]


# --- other people's packages, unchanged


def test_odxtools_example(vcan: Link) -> None:
    """Its "somersault" ECU and the tester for it, on isotp.socket in an event loop."""
    example = folder_of("odxtools") / "examples" / "somersaultlazy.py"
    printed = run(str(example), "--channel", vcan, groups=("odxtools", "packages"))
    assert printed.count("somersault_lazy_ecu:received UDS message") == 6
    assert "Finished" in printed


def test_gallia_transport(vcan: Link) -> None:
    assert run("-m", "tests.clients.others.gallia_isotp", vcan) == "done\n"


def test_jumpstarter_socket_driver() -> None:
    if not Path("/sys/class/net/vcan0").exists():
        pytest.skip("its tests need an interface vcan0 (to do: tools/kernel-run)")
    assert "2 passed" in run_tests_of("jumpstarter_driver_can", "client_test.py", "-k", "isotp_socket")
