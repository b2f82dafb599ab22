"""scapy's DoIP sockets: plain DoIP, UDS alone, and identification over UDP."""

import socket
from typing import Any

from scapy.config import conf

conf.use_pcap = False
from scapy.contrib.automotive.doip import DoIP, DoIPSocket, UDS_DoIPSocket  # noqa: E402 - its configuration comes first
from scapy.contrib.automotive.uds import UDS, UDS_RDBI, UDS_TP  # noqa: E402

from tests.clients.others.doip_gateway import ENGINE, GATEWAY, TESTER, VIN, serving  # noqa: E402


def main() -> None:
    """Ask in each way."""
    with serving() as served:
        place: dict[str, Any] = {"ip": "127.0.0.1", "port": served.port, "source_address": TESTER}
        doip = DoIPSocket(**place)
        request = DoIP(payload_type=0x8001, source_address=TESTER, target_address=ENGINE) / UDS() / UDS_TP()
        reply = doip.sr1(request, timeout=20, verbose=False)
        assert (reply.source_address, reply[UDS].service) == (ENGINE, 0x7E)
        doip.close()
        with UDS_DoIPSocket(target_address=ENGINE, **place) as uds:
            reply = uds.sr1(UDS() / UDS_RDBI(identifiers=[0xF190]), timeout=20, verbose=False)
            assert bytes(reply).endswith(VIN.encode())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(20)
            udp.sendto(bytes(DoIP(payload_type=1)), ("127.0.0.1", served.port))
            found = DoIP(udp.recv(1000))
            assert (found.payload_type, found.logical_address, found.vin.decode()) == (4, GATEWAY, VIN)
    print("done")


if __name__ == "__main__":
    main()
