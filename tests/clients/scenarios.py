"""What a tester does with an ECU, over any pair of blocking sockets; shared with the tests in a kernel."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest
import udsoncan
from udsoncan.client import Client
from udsoncan.connections import BaseConnection
from udsoncan.exceptions import NegativeResponseException
from udsoncan.services import ReadDataByIdentifier, RoutineControl, TesterPresent

import isotp
from isotp.clients.udsoncan import Connection, functional_request
from isotp.testing import Car, Download, Ecu, Reply, Security

P2_S, P2_STAR_S = 20, 30  # generous, for a machine that does other things as well
BLOCK: Final = 4095
"""Bytes of a TransferData request, at most."""
IMAGE: Final = bytes((i * 7 + i // 251) & 0xFF for i in range(100_000))
PLACE: Final = 0x1000
DIDS: Final = {0xF100 + number: bytes((number + i) & 0xFF for i in range(1 + 3 * number)) for number in range(200)}
"""Data identifiers with values of 1 to 598 bytes."""
FUNCTIONAL_ID: Final = 0x7DF
Open = Callable[[isotp.Address], isotp.IsoTpSocket]
"""Opens and binds a socket that sees when messages begin."""


class Raw(udsoncan.DidCodec):
    """A value as bytes."""

    def encode(self, *value: Any, **_: Any) -> bytes:
        return bytes(value[0])

    def decode(self, string_bin: bytes) -> bytes:
        return string_bin

    def __len__(self) -> int:
        raise udsoncan.DidCodec.ReadAllRemainingData


def address_of(request_id: int) -> isotp.Address:
    """The tester's address of an ECU."""
    return isotp.Address.normal(rxid=request_id + 8, txid=request_id)


def key_of(seed: bytes) -> bytes:
    """The key that unlocks the ECU."""
    return bytes(byte ^ 0xA5 for byte in seed)


@contextmanager
def an_ecu(open_socket: Open, request_id: int = 0x7E0) -> Iterator[Ecu]:
    """A simulated ECU."""
    ecu = Ecu(
        rxid=request_id,
        txid=request_id + 8,
        rules={"31 01 FF 00": [*[Reply("7F 31 78")] * 3, Reply("71 01 FF 00")]},
        dids=DIDS,
        security={1: Security(key_of)},
        download=Download(PLACE, len(IMAGE), block=BLOCK, security=1, sessions=[2]),
        p2_s=P2_S,
        p2_star_s=P2_STAR_S,
        s3_s=1000.0,
    )
    with Car(open_socket, ecu):
        yield ecu


def client_of(connection: BaseConnection, p2_timeout: float = P2_S) -> Client:
    """A udsoncan client with time enough."""
    return Client(
        connection,
        config={
            "data_identifiers": {"default": Raw},
            "security_algo": lambda level, seed, params: key_of(seed),
            "request_timeout": 60,
            "p2_timeout": p2_timeout,
            "p2_star_timeout": P2_STAR_S,
        },
    )


@contextmanager
def tester_and_ecu(open_socket: Open) -> Iterator[tuple[Client, Ecu]]:
    """A client whose connection is ours, and its ECU."""
    with (
        an_ecu(open_socket) as ecu,
        open_socket(address_of(0x7E0)) as socket,
        client_of(Connection(socket)) as client,
    ):
        yield client, ecu


def a_session_with_security_access(open_socket: Open) -> None:
    with tester_and_ecu(open_socket) as (client, ecu):
        assert client.change_session(2)
        client.request_seed(1)
        with pytest.raises(NegativeResponseException) as refused:
            client.send_key(2, b"wrong")
        assert refused.value.response.code_name == "InvalidKey"
        client.unlock_security_access(1)
        assert (ecu.session, ecu.unlocked) == (2, 1)


def reading_two_hundred_identifiers(open_socket: Open) -> None:
    with tester_and_ecu(open_socket) as (client, _):
        values = {did: client.read_data_by_identifier([did]).service_data.values[did] for did in DIDS}
    assert values == DIDS


def a_download_of_100_kb(open_socket: Open) -> None:
    """The ECU asks for more time again and again."""
    with tester_and_ecu(open_socket) as (client, ecu):
        download(client, ecu)


def download(client: Client, ecu: Ecu) -> None:
    client.change_session(2)
    ecu.p2_s, ecu.delay_s = 0.01, 0.02
    client.unlock_security_access(1)
    client.start_routine(0xFF00)
    place = udsoncan.MemoryLocation(PLACE, len(IMAGE), 32, 32)
    permitted = client.request_download(place)
    assert permitted is not None
    assert permitted.service_data.max_length == BLOCK
    step = BLOCK - 2
    for number, begin in enumerate(range(0, len(IMAGE), step), start=1):
        client.transfer_data(number & 0xFF, IMAGE[begin : begin + step])
    client.request_transfer_exit()
    assert ecu.counts["NRC 0x78"] > len(IMAGE) // step
    assert ecu.download is not None
    assert ecu.download.done == [(PLACE, IMAGE)]


def tester_present_beside_a_client(open_socket: Open) -> None:
    """Another thread sends TesterPresent without response on the same connection, as often as the ECU takes it."""
    over = threading.Event()
    requests: list[bytes] = []
    with tester_and_ecu(open_socket) as (client, ecu), ExitStack() as stack:
        ecu.on_served = lambda exchange: requests.append(exchange.request.data)

        def be_present() -> None:
            sent = 0
            while not over.is_set():
                if requests.count(b"\x3e\x80") == sent:
                    client.conn.send(b"\x3e\x80")
                    sent += 1
                time.sleep(0.001)

        thread = threading.Thread(target=be_present)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        read = 0
        while read < 10 or requests.count(b"\x3e\x80") < 10:
            did = 0xF100 + read % 200
            assert client.read_data_by_identifier([did]).service_data.values[did] == DIDS[did]
            read += 1


def a_functional_request_to_three_ecus(open_socket: Open) -> None:
    """With responses long and short, and one ECU that is not there."""
    request_ids = (0x7E0, 0x7E1, 0x7E2)
    with ExitStack() as stack:
        for request_id in request_ids:
            stack.enter_context(an_ecu(open_socket, request_id))
        sender = stack.enter_context(open_socket(isotp.Address.normal(txid=FUNCTIONAL_ID, functional=True)))
        receivers = [stack.enter_context(open_socket(address_of(each))) for each in request_ids]
        for request, data in (
            (udsoncan.Request(ReadDataByIdentifier, data=b"\xf1\xc7"), b"\xf1\xc7" + DIDS[0xF1C7]),
            (udsoncan.Request(TesterPresent, subfunction=0), b"\0"),
            (udsoncan.Request(RoutineControl, subfunction=1, data=b"\xff\0"), b"\x01\xff\0"),  # it takes time
        ):
            found = functional_request(sender, receivers, request, p2_timeout=P2_S, p2_star_timeout=P2_STAR_S)
            assert {each.address for each in found} == {address_of(each) for each in request_ids}
            assert [each.response and each.response.data for each in found] == [data] * 3
        suppressed = udsoncan.Request(TesterPresent, subfunction=0, suppress_positive_response=True)
        assert functional_request(sender, receivers, suppressed, p2_timeout=0) == []


SCENARIOS: Final = (
    a_session_with_security_access,
    reading_two_hundred_identifiers,
    a_download_of_100_kb,
    tester_present_beside_a_client,
    a_functional_request_to_three_ecus,
)
