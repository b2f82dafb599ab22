"""isotp demo: a long message between two sockets, and every CAN frame it took."""

import argparse
import time
from typing import Final

from ...errors import FlowControlTimeoutError, InterfaceError, UnavailableError
from ...stmin import STmin
from .. import status
from ..options import values
from ..output import frame_table, terminal
from ..output.terminal import print_wrapped
from ..parser import Parser, WrongUsage
from .demo_stage import MAKE_VCAN, InProcess, OnVcan, Stage, find_vcan

USAGE: Final = "[OPTIONS]"
DESCRIPTION: Final = """
Send a long message from one socket to another over a vcan (never a real bus), show and explain the CAN frames in
between; then send one to an identifier that no socket listens to. Where the kernel has no ISO-TP, or no vcan is up,
it plays on the engine, on a bus in this process, and says so.
"""
EXAMPLES: Final = ("isotp demo --size 100", "isotp demo --soft", "isotp demo --interface vcan0")

# Not the identifiers of diagnostics (0x7E0 and so on): a simulated ECU may be on the same vcan.
_TESTER, _ECU, _ABSENT_RX, _ABSENT_TX = 0x6A0, 0x6A8, 0x6B0, 0x6B8
_BS: Final = 5
_STMIN: Final = STmin.from_ms(1)
_SIZE_MAX: Final = 1_049_600  # what a kernel can be made to take
_IN_VM: Final = "With the kernel's ISO-TP: make demo-kernel, in a checkout, brings one"


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "--interface", metavar="NAME", help=f"a vcan (default: the first one that is up); to make one: {MAKE_VCAN}"
    )
    parser.add_argument("--soft", action="store_true", help="on SoftSocket over a bus in this process")
    parser.add_argument(
        "--size", type=values.number(1, _SIZE_MAX), default=100, metavar="N", help="bytes to send (default: 100)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it; 0 when both parts went as they should."""
    if arguments.soft and arguments.interface is not None:
        raise WrongUsage("--soft plays on a bus in this process: leave out --interface")
    try:
        stage = InProcess() if arguments.soft else _choose(arguments.interface)
    except UnavailableError as e:
        terminal.to_stderr(f"{e}\n  {_IN_VM}")
        return status.FAILED
    as_it_should = _show_transfer(stage, arguments.size) and _show_failure(stage)
    return status.DONE if as_it_should else status.FAILED


def _choose(wanted: str | None) -> Stage:
    """A vcan if there is one, else this process; what was asked for by name has to be there."""
    try:
        return OnVcan(find_vcan(wanted))
    except (UnavailableError, InterfaceError) as e:
        if wanted is not None:
            raise
        print_wrapped(
            f"{e.what}: so this is the engine in this process, SoftSocket on a VirtualBus; the calls are the same. "
            f"{_IN_VM}."
        )
        print()
        return InProcess()


def _show_transfer(stage: Stage, size: int) -> bool:
    message = (bytes(range(256)) * (size // 256 + 1))[:size]
    with stage.open(None) as tester, stage.open(5.0) as ecu:
        ecu.set_fc_opts(bs=_BS, stmin=_STMIN)
        stage.bind(ecu, rxid=_TESTER, txid=_ECU)
        stage.bind(tester, rxid=_ECU, txid=_TESTER)
        asks = f"; the ECU asks for BS={_BS} and STmin=1 ms" if size > 7 else ""
        print_wrapped(f"{stage.name}: {size} bytes, tester (-> {_TESTER:03X}) to ECU (<- {_ECU:03X}){asks}.")
        print(flush=True)
        with stage.record(_TESTER, _ECU) as frames:
            begin = time.perf_counter()
            tester.send(message)
            sent = time.perf_counter()
            received = ecu.recv()
            end = time.perf_counter()
    for line in frame_table.lines(frames, _TESTER, terminal.width()):
        print(line)
    on_bus = (frames[-1].time_ns - frames[0].time_ns) / 1e6 if frames else 0.0
    same = received == message
    print()
    print_wrapped(f"{len(frames)} CAN frame(s) in {on_bus:.3f} ms: {frame_table.count(frames)}.")
    print_wrapped(
        f"send() took {(sent - begin) * 1e3:.3f} ms: it came back when all was on the bus. "
        f"recv() had the message {(end - sent) * 1e3:.3f} ms later."
    )
    verdict = "identical to what was sent" if same else "NOT what was sent"
    print_wrapped(f"Received: {len(received)} bytes, {verdict}.", terminal.GREEN if same else terminal.RED)
    return same


def _show_failure(stage: Stage) -> bool:
    size = 20
    print()
    print_wrapped(f"Now {size} bytes to {_ABSENT_RX:03X}, where no socket listens. A plain socket calls them sent.")
    with stage.open(None) as lonely:
        stage.bind(lonely, rxid=_ABSENT_TX, txid=_ABSENT_RX)
        begin = time.perf_counter()
        try:
            lonely.send(bytes(size))
        except FlowControlTimeoutError as e:
            print(f"{stage.socket_name} raises, after {time.perf_counter() - begin:.2f} s:\n")
            for line in f"{type(e).__name__}: {e}".splitlines():
                print_wrapped(f"  {line}", terminal.RED, indent=" " * 9)
            return True
    print_wrapped(f"But another node on {stage.name} answered with {_ABSENT_TX:03X}. Try another vcan.", terminal.RED)
    return False
