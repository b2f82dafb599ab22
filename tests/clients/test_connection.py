"""isotp.clients.udsoncan.Connection with a simulated ECU, in simulated time."""

import pytest
from udsoncan.client import Client
from udsoncan.exceptions import TimeoutException

import isotp
from isotp.clients.udsoncan import Connection
from isotp.testing import Car, Ecu, FakeClock, Faults, Frames
from isotp.testing.notation import parse

from .scenarios import Open, Raw, address_of

P2_S = 0.3


@pytest.fixture
def socket(open_socket: Open) -> isotp.IsoTpSocket:
    return open_socket(address_of(0x7E0))


def an_ecu(bus: isotp.VirtualBus, value: bytes = b"") -> Car:
    return Car(bus, Ecu(rxid=0x7E0, txid=0x7E8, dids={0xF190: value}))


def client_of(socket: isotp.IsoTpSocket, p2_timeout: float = P2_S) -> Client:
    return Client(
        Connection(socket),
        config={"data_identifiers": {"default": Raw}, "p2_timeout": p2_timeout},
    )


def read(client: Client) -> bytes:
    value: bytes = client.read_data_by_identifier([0xF190]).service_data.values[0xF190]
    return value


def test_p2_counts_to_the_first_frame_of_a_reply(
    socket: isotp.IsoTpSocket, bus: isotp.VirtualBus, clock: FakeClock, faults: Faults
) -> None:
    faults.delay("7E8: CF", seconds=1.3 * P2_S)
    with an_ecu(bus, bytes(range(1, 7))), client_of(socket) as client:
        assert read(client) == bytes(range(1, 7))
    assert clock.monotonic() > 1.3 * P2_S


def test_no_reply_is_a_timeout(socket: isotp.IsoTpSocket) -> None:
    with client_of(socket, p2_timeout=0.01) as client:
        with pytest.raises(TimeoutException, match="P2"):
            read(client)
        with client.suppress_positive_response(wait_nrc=True):
            assert client.tester_present() is None


def test_a_reply_that_breaks_off_is_no_timeout(
    socket: isotp.IsoTpSocket, bus: isotp.VirtualBus, faults: Faults
) -> None:
    faults.replace("7E8: CF", by="CF 5 ..")
    with an_ecu(bus, bytes(17)), client_of(socket) as client, pytest.raises(isotp.WrongSequenceNumberError):
        read(client)


def test_a_request_that_is_not_taken_says_so(socket: isotp.IsoTpSocket) -> None:
    with client_of(socket) as client, pytest.raises(isotp.FlowControlTimeoutError) as failed:
        client.transfer_data(1, bytes(100))
    assert failed.value.n_result is isotp.N_Result.N_TIMEOUT_Bs


def test_a_send_that_finds_the_link_busy_is_a_timeout(socket: isotp.IsoTpSocket, bus: isotp.VirtualBus) -> None:
    connection = Connection(socket)
    connection.open()
    socket.send(bytes(100), confirm=False)
    with pytest.raises(TimeoutException, match="still being sent"):
        connection.send(b"\x3e\x00", timeout=0.01)
    assert socket.gettimeout() is None
    bus.inject(parse("7E8: FC OVFLW").frame())
    with pytest.raises(isotp.BufferOverflowError):
        socket.confirm()


def test_old_messages_are_no_replies(
    socket: isotp.IsoTpSocket, bus: isotp.VirtualBus, clock: FakeClock, faults: Faults
) -> None:
    """Neither complete ones nor one that is just being received, nor one that broke off."""
    frames = Frames(bus)
    old = ("FF 20 62 F1 90 00 00 00", "CF 5 04 05 06 07 08 09 10", "SF 62 F1 90 00", "FF 9 62 F1 90 00 00 00")
    for text in old:
        bus.inject(parse(f"7E8: {text}").frame())
        clock.sleep(0.01)
    assert frames == [old[0], "FC CTS", *old[1:], "FC CTS"]
    faults.insert("7E8: SF", frames="CF 1 00 00 00")
    with an_ecu(bus, b"\x01"), client_of(socket) as client:
        assert read(client) == b"\x01"
    assert len(faults.done) == 1


def test_it_can_be_opened_again_and_leaves_the_socket_open(socket: isotp.IsoTpSocket, bus: isotp.VirtualBus) -> None:
    connection = Connection(socket)
    for _ in range(2):
        with an_ecu(bus), Client(connection) as client:
            assert connection.is_open()
            assert client.tester_present().positive
        assert not connection.is_open()
    assert not socket.closed
    connection.open()
    socket.close()
    assert not connection.is_open()


def test_what_it_does_not_take(bus: isotp.VirtualBus) -> None:
    with isotp.SoftSocket(bus) as unbound:
        with pytest.raises(isotp.NotBoundError, match="bind"):
            Connection(unbound).open()
        with pytest.raises(TypeError, match=r"isotp\.SoftSocket"):
            Connection(isotp.AsyncSoftSocket(bus))  # type: ignore[arg-type]
