"""A tester talks UDS to three simulated ECUs at once: asyncio sockets, payloads by udsoncan (pip install udsoncan).

    python examples/uds_three_ecus.py                      over the engine, on a bus inside this process
    python examples/uds_three_ecus.py --interface vcan0    over the kernel

It sends one functional request to find out which ECUs are there, then reads from all of them at the same time.
"""

import argparse
import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from udsoncan import Request, Response
from udsoncan.services import ReadDataByIdentifier, TesterPresent

import isotp

FUNCTIONAL_ID = 0x7DF
VIN, SOFTWARE = 0xF190, 0xF195
ECUS: dict[str, tuple[int, dict[int, bytes]]] = {  # name: identifier of requests to it, values to read by identifier
    "engine": (0x7E0, {VIN: b"WVWZZZ1JZXW000001", SOFTWARE: b"engine 1.4.2 " * 40}),
    "gearbox": (0x7E1, {VIN: b"WVWZZZ1JZXW000001", SOFTWARE: b"gearbox 3.0 " * 300}),
    "airbag": (0x7E2, {VIN: b"WVWZZZ1JZXW000001"}),
}
OpenSocket = Callable[[isotp.Address], Any]


# --- an ECU


def answer(values: dict[int, bytes], payload: bytes) -> bytes:
    """The reply of an ECU to a request."""
    request = Request.from_payload(payload)
    data = request.data or b""
    if request.service is TesterPresent:
        response = Response(TesterPresent, Response.Code.PositiveResponse, b"\0")
    elif request.service is not ReadDataByIdentifier:
        response = Response(request.service, Response.Code.ServiceNotSupported)
    elif int.from_bytes(data) not in values:
        response = Response(request.service, Response.Code.RequestOutOfRange)
    else:
        response = Response(request.service, Response.Code.PositiveResponse, data + values[int.from_bytes(data)])
    return response.get_payload()


async def serve(requests: Any, replies: Any, values: dict[int, bytes]) -> None:
    """Send a reply by `replies` to each message that `requests` receives, until that is closed."""
    async for payload in requests:
        await replies.send(answer(values, payload))


# --- the tester


async def read(sock: Any, identifier: int) -> str:
    """ReadDataByIdentifier."""
    await sock.send(Request(ReadDataByIdentifier, data=identifier.to_bytes(2)).get_payload())
    response = Response.from_payload(await sock.recv())
    return f"{len(response.data or b'') - 2} bytes" if response.positive else response.code_name


async def read_all(functional_sender: Any, sockets: dict[str, Any]) -> None:
    """Find out which ECUs are there, then read from all at the same time."""
    names = {sock: name for name, sock in sockets.items()}
    present = Request(TesterPresent, subfunction=0).get_payload()
    replies = await isotp.async_functional_request(functional_sender, sockets.values(), present, timeout=2.0)
    for reply in sorted(replies):
        print(f"{reply.can_id:#05x} {names[reply.socket]} is there: {Response.from_payload(reply.data).code_name}")
    for identifier in (VIN, SOFTWARE):
        values = await asyncio.gather(*(read(sock, identifier) for sock in sockets.values()))
        for name, value in zip(sockets, values, strict=True):
            print(f"{identifier:#06x} of {name}: {value}")


# --- both


async def main(open_socket: OpenSocket) -> None:
    """Simulate the ECUs and test them."""
    functional = isotp.Address.normal(txid=FUNCTIONAL_ID, functional=True)
    async with AsyncExitStack() as ecus, asyncio.TaskGroup() as tasks, AsyncExitStack() as tester:
        for request_id, values in ECUS.values():
            functional_requests = await ecus.enter_async_context(open_socket(isotp.Address.normal(rxid=FUNCTIONAL_ID)))
            own_requests = await ecus.enter_async_context(
                open_socket(isotp.Address.normal(rxid=request_id, txid=request_id + 8))
            )
            for requests in (functional_requests, own_requests):
                tasks.create_task(serve(requests, own_requests, values))
                tester.callback(requests.close)  # which ends the task
        functional_sender = await tester.enter_async_context(open_socket(functional))
        sockets = {
            name: await tester.enter_async_context(
                open_socket(isotp.Address.normal(rxid=request_id + 8, txid=request_id))
            )
            for name, (request_id, _) in ECUS.items()
        }
        await read_all(functional_sender, sockets)


def sockets_on(interface: str | None) -> OpenSocket:
    """A function that makes bound sockets: kernel sockets on `interface`, or else sockets on one VirtualBus."""
    if interface is not None:

        def on_interface(address: isotp.Address) -> Any:
            sock = isotp.AsyncSocket()
            sock.bind(interface, address)
            return sock

        return on_interface
    bus = isotp.VirtualBus()

    def on_bus(address: isotp.Address) -> Any:
        sock = isotp.AsyncSoftSocket(bus)
        sock.bind(address)
        return sock

    return on_bus


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A tester talks UDS to three simulated ECUs at once.")
    parser.add_argument("--interface", help="a CAN interface of Linux; without it, a bus inside this process")
    asyncio.run(main(sockets_on(parser.parse_args().interface)))
