"""Tests of the client on sockets as it uses them in a workshop: in real time, on the engine and on the kernel."""

from workshop import Client

import isotp
from isotp.testing import Car, Ecu, Link

VIN = "WVWZZZ1JZXW000001"


def test_a_canned_answer(isotp_link: Link) -> None:
    """The test itself is the ECU."""
    isotp_link.ecu.send(bytes.fromhex("62 01 00 2A"))
    assert Client(isotp_link.tester).read(0x0100) == b"\x2a"
    assert isotp_link.ecu.recv() == bytes.fromhex("22 01 00")


def test_in_real_time(isotp_tester: isotp.SoftSocket, isotp_ecu: Ecu) -> None:
    assert Client(isotp_tester, answers_within=30.0).vin() == VIN


def test_on_the_kernel(isotp_kernel: str, engine: Ecu) -> None:
    """Skipped where there is no kernel with ISO-TP; `python -m isotp.testing.kernel -- python -m pytest` has one."""
    with Car(isotp_kernel, engine), isotp.socket() as sock:
        sock.bind(isotp_kernel, rxid=0x7E8, txid=0x7E0)
        assert Client(sock, answers_within=30.0).vin() == VIN
