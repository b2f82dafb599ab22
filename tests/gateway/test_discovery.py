"""What the gateway does over UDP."""

import asyncio
import socket
from dataclasses import replace

import pytest

from isotp.gateway import Limits, Vehicle

from .testers import SETUP, TIMERS, in_loop, serving

VIN = "WVWZZZ1JZXW000001"
IDENTIFICATION = VIN.encode().hex() + "1000" + "020000000001" + "000000000000" + "00" + "00"


async def asked(port: int, *requests: str) -> list[str]:
    """What comes in reply to datagrams; the last of them has to have a reply."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        for request in requests:
            await loop.sock_sendto(sock, bytes.fromhex(request), ("127.0.0.1", port))
        replies: list[str] = []
        while not replies or replies[-1][4:8] != "4004":
            if len(replies) == 1:
                await loop.sock_sendto(sock, bytes.fromhex("02FD 4003 00000000"), ("127.0.0.1", port))
            replies.append((await loop.sock_recv(sock, 1000)).hex())
        return replies[:-1]


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("02FD 0001 00000000", "02fd000400000021" + IDENTIFICATION),
        ("FF00 0001 00000000", "02fd000400000021" + IDENTIFICATION),
        ("03FC 0001 00000000", "03fc000400000021" + IDENTIFICATION),
        ("02FD 0002 00000006 020000000001", "02fd000400000021" + IDENTIFICATION),
        ("02FD 0003 00000011" + VIN.encode().hex(), "02fd000400000021" + IDENTIFICATION),
        ("02FD 4001 00000000", "02fd400200000007" + "00" + "10" + "00" + "00100000"),
        ("02FE 0001 00000000", "02fd00000000000100"),
        ("02", "02fd00000000000100"),
        ("02FD 8001 00000005 0E0000013E", "02fd00000000000101"),
        ("02FD 0002 00000005 0200000000", "02fd00000000000104"),
        ("02FD 0001 00000001", "02fd00000000000104"),
    ],
)
def test_requests_and_replies(request_: str, reply: str) -> None:
    @in_loop
    async def test() -> None:
        async with serving() as served:
            assert await asked(served.gateway.udp_port, request_) == [reply]
            assert served.nothing_sent

    test()


@in_loop
async def test_who_means_another_vehicle_and_what_others_send_get_no_reply() -> None:
    unanswered = (
        "02FD 0002 00000006 020000000002",
        "02FD 0003 00000011" + "41" * 17,
        "02FD 0000 00000001 00",
        "02FD 0004 00000021" + IDENTIFICATION,
    )
    async with serving() as served:
        assert await asked(served.gateway.udp_port, *unanswered, "02FD 4001 00000000") == [
            "02fd400200000007" + "00" + "10" + "00" + "00100000"
        ]


@in_loop
async def test_the_entity_status_counts_testers() -> None:
    async with serving(limits=Limits(clients=5)) as served:
        await served.tester()
        await served.connect()
        (status,) = await asked(served.gateway.udp_port, "02FD 4001 00000000")
        assert status == "02fd400200000007" + "00" + "05" + "01" + "00100000"


@in_loop
async def test_the_power_mode_may_change() -> None:
    modes = [0, 1]
    setup = replace(SETUP, vehicle=Vehicle(address=0x1000, power_mode=lambda: modes.pop(0)))
    async with serving(setup) as served:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            for mode in ("00", "01"):
                await loop.sock_sendto(
                    sock, bytes.fromhex("02FD 4003 00000000"), ("127.0.0.1", served.gateway.udp_port)
                )
                assert (await loop.sock_recv(sock, 100)).hex() == "02fd400400000001" + mode


@in_loop
async def test_a_vehicle_without_a_vin_says_so() -> None:
    async with serving(replace(SETUP, vehicle=Vehicle(address=0x1000))) as served:
        (reply,) = await asked(served.gateway.udp_port, "02FD 0001 00000000")
        assert reply == "02fd000400000021" + "00" * 17 + "1000" + "00" * 12 + "00" + "10"


@in_loop
async def test_three_announcements() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        async with serving(timers=TIMERS._replace(announce_interval=0.0), announce_to=sock.getsockname()):
            for _ in range(3):
                assert (await loop.sock_recv(sock, 100)).hex() == "02fd000400000021" + IDENTIFICATION
    assert sock.fileno() < 0


@in_loop
async def test_only_so_many_wait_for_identification() -> None:
    async with serving(timers=TIMERS._replace(announce_wait=1000.0)) as served:
        requests = ["02FD 0001 00000000"] * 65
        await asked(served.gateway.udp_port, *requests, "02FD 4001 00000000")
        await served.until_said("too many ask for identification")
