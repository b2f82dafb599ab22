"""gallia's DoIP transport, and its search for DoIP gateways and ECUs behind them."""

import asyncio
import subprocess
import sys

from gallia.transports.base import TargetURI
from gallia.transports.doip import DoIPTransport

from tests.clients.others.doip_gateway import ENGINE, GEARBOX, TESTER, VIN, serving


async def ask(port: int) -> None:
    """Read the VIN."""
    target = f"doip://127.0.0.1:{port}?protocol_version=3&activation_type=0&src_addr={TESTER}&target_addr={ENGINE}"
    transport = DoIPTransport(TargetURI(target))
    await transport.connect()
    reply = await transport.request(b"\x22\xf1\x90", timeout=20)
    assert reply == b"\x62\xf1\x90" + VIN.encode()
    await transport.close()


def discover(port: int) -> str:
    """Let it find which types of activation there are, and which ECUs."""
    target = f"doip://127.0.0.1:{port}?src_addr={TESTER:#x}"
    command = [
        sys.executable,
        "-c",
        "from gallia.cli.gallia import main; main()",
        "discover",
        "doip",
        "--target",
        target,
    ]
    done = subprocess.run(
        [*command, "--start", "0", "--stop", "0x28", "--timeout", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=80,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def main() -> None:
    """Both."""
    with serving() as served:
        asyncio.run(ask(served.port))
        found = discover(served.port)
        for ecu in (ENGINE, GEARBOX):
            assert f"{ecu:#x} responded: TesterPresentResponse" in found
    print("done")


if __name__ == "__main__":
    main()
