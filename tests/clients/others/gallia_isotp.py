"""gallia's own ISO-TP transport, a plain kernel socket, talks to isotp.AsyncSocket: gallia_isotp.py INTERFACE."""

import asyncio
import sys

from gallia.transports.base import TargetURI
from gallia.transports.isotp import ISOTPTransport

import isotp

LONG = bytes(range(256)) * 12


async def main(interface: str) -> None:
    """Send a long message each way."""
    tester = ISOTPTransport(TargetURI(f"isotp://{interface}?is_fd=false&is_extended=false&rx_id=0x7e8&tx_id=0x7e0"))
    async with isotp.AsyncSocket(timeout=60.0) as ecu:
        ecu.bind(interface, rxid=0x7E0, txid=0x7E8)
        await tester.connect()
        await tester.write(LONG)
        assert await ecu.recv() == LONG
        _, received = await asyncio.gather(ecu.send(LONG), tester.read(timeout=60))
        assert received == LONG
        await tester.close()
    print("done")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
