"""doipclient and udsoncan: identification, state, a routine that takes time, a download of 1 MB."""

from typing import Any

import udsoncan
from doipclient import DoIPClient
from doipclient.connectors import DoIPClientUDSConnector
from udsoncan.client import Client

from tests.clients.others.doip_gateway import ALL, ENGINE, GATEWAY, GEARBOX, TESTER, VIN, serving

IMAGE = bytes((i * 7 + i // 251) & 0xFF for i in range(1 << 20))


def ask_the_gateway(client: DoIPClient) -> None:
    """Everything but diagnostic messages."""
    for asked in ({}, {"eid": bytes.fromhex("020000000001")}, {"vin": VIN}):
        found = client.request_vehicle_identification(**asked)
        assert (found.vin, found.logical_address, found.vin_sync_status) == (VIN, GATEWAY, 0)
    status = client.request_entity_status()
    assert (status.node_type, status.currently_open_sockets) == (0, 1)
    assert client.request_diagnostic_power_mode().diagnostic_power_mode == 2
    assert client.request_alive_check().source_address == GATEWAY


def download(client: Client) -> None:
    """1 MB, in blocks of 4 KB."""
    client.change_session(2)
    permitted = client.request_download(udsoncan.MemoryLocation(0, len(IMAGE), 32, 32))
    assert permitted is not None
    step = permitted.service_data.max_length - 2
    for number, begin in enumerate(range(0, len(IMAGE), step), start=1):
        client.transfer_data(number & 0xFF, IMAGE[begin : begin + step])
    client.request_transfer_exit()


def main() -> None:
    """Do all of it."""
    with serving() as served:
        client = DoIPClient(
            "127.0.0.1", ENGINE, tcp_port=served.port, udp_port=served.port, client_logical_address=TESTER
        )
        ask_the_gateway(client)
        config: Any = {"request_timeout": 60, "p2_timeout": 20, "data_identifiers": {0xF190: udsoncan.AsciiCodec(17)}}
        with Client(DoIPClientUDSConnector(client), config=config) as uds:
            assert uds.read_data_by_identifier_first([0xF190]) == VIN
            uds.start_routine(0xFF00)
            download(uds)
        client.send_diagnostic_to_address(ALL, b"\x3e\x00")
        replies = [client.read_doip(timeout=20) for _ in range(2)]
        assert [reply.user_data for reply in replies] == [b"\x7e\x00"] * 2
        assert {reply.source_address for reply in replies} == {ENGINE, GEARBOX}
        client.close()
    assert served.engine.download is not None
    assert served.engine.download.done == [(0, IMAGE)]
    print("done")


if __name__ == "__main__":
    main()
