"""isotp.clients.udsoncan.Connection against ECUs that send what a test lays out."""

import time

import pytest
from udsoncan.client import Client
from udsoncan.exceptions import TimeoutException

import isotp
from isotp.clients.udsoncan import Connection

from ..waiting import until
from .raw_ecus import RawEcus
from .scenarios import Open, Raw, address_of

P2_S = 0.3


@pytest.fixture
def socket(open_socket: Open) -> isotp.IsoTpSocket:
    return open_socket(address_of(0x7E0))


def client_of(socket: isotp.IsoTpSocket, p2_timeout: float = P2_S) -> Client:
    return Client(
        Connection(socket),
        config={"data_identifiers": {"default": Raw}, "request_timeout": 60, "p2_timeout": p2_timeout},
    )


def read(client: Client) -> bytes:
    value: bytes = client.read_data_by_identifier([0xF190]).service_data.values[0xF190]
    return value


def test_p2_counts_to_the_first_frame_of_a_reply(socket: isotp.IsoTpSocket, ecus: RawEcus) -> None:
    ecus.reply(0x7E0, "0322f190", (0x7E8, "100962f190010203"))

    def send_the_rest(_: object) -> None:
        until(lambda: any(frame.data[0] == 0x30 for frame in ecus.seen))
        time.sleep(P2_S * 1.3)
        ecus.send(0x7E8, "21040506")

    ecus.in_thread(send_the_rest)
    with client_of(socket) as client:
        assert read(client) == bytes(range(1, 7))


def test_no_reply_is_a_timeout(socket: isotp.IsoTpSocket) -> None:
    with client_of(socket, p2_timeout=0.01) as client:
        with pytest.raises(TimeoutException, match="P2"):
            read(client)
        with client.suppress_positive_response(wait_nrc=True):
            assert client.tester_present() is None


def test_a_reply_that_breaks_off_is_no_timeout(socket: isotp.IsoTpSocket, ecus: RawEcus) -> None:
    ecus.reply(0x7E0, "0322f190", (0x7E8, "101462f190010203"))
    ecus.reply(0x7E0, "30", (0x7E8, "2504050607080910"))
    with client_of(socket) as client, pytest.raises(isotp.WrongSequenceNumberError):
        read(client)


def test_a_request_that_is_not_taken_says_so(socket: isotp.IsoTpSocket) -> None:
    with client_of(socket) as client, pytest.raises(isotp.FlowControlTimeoutError) as failed:
        client.transfer_data(1, bytes(100))
    assert failed.value.n_result is isotp.N_Result.N_TIMEOUT_Bs


def test_a_send_that_finds_the_link_busy_is_a_timeout(bus: isotp.VirtualBus, ecus: RawEcus) -> None:
    with isotp.SoftSocket(bus) as socket:
        socket.set_engine_opts(n_bs_ns=30_000_000_000)
        socket.bind(address_of(0x7E0))
        connection = Connection(socket)
        connection.open()
        socket.send(bytes(100), confirm=False)
        with pytest.raises(TimeoutException, match="still being sent"):
            connection.send(b"\x3e\x00", timeout=0.01)
        assert socket.gettimeout() is None
        ecus.send(0x7E8, "320000")
        with pytest.raises(isotp.BufferOverflowError):
            socket.confirm()


def test_old_messages_are_no_replies(socket: isotp.IsoTpSocket, ecus: RawEcus) -> None:
    """Neither complete ones nor one that is just being received, nor one that broke off."""
    ecus.reply(0x7E0, "30", (0x7E8, "2504050607080910"))
    ecus.send(0x7E8, "101462f190000000")
    until(lambda: ecus.seen)
    ecus.send(0x7E8, "0462f19000")
    ecus.reply(0x7E0, "30")
    ecus.send(0x7E8, "100962f190000000")
    until(lambda: len(ecus.seen) == 2)
    ecus.reply(0x7E0, "0322f190", (0x7E8, "21000000"), (0x7E8, "0462f19001"))
    with client_of(socket) as client:
        assert read(client) == b"\x01"


def test_it_can_be_opened_again_and_leaves_the_socket_open(socket: isotp.IsoTpSocket, ecus: RawEcus) -> None:
    ecus.reply(0x7E0, "023e00", (0x7E8, "027e00"))
    connection = Connection(socket)
    for _ in range(2):
        with Client(connection, config={"p2_timeout": 30, "request_timeout": 60}) as client:
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
