"""isotp demo: a long message between two sockets, and every CAN frame it took."""

import argparse
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from ..errors import FlowControlTimeoutError, InterfaceError, UnavailableError
from ..kernel.linux import SO_TIMESTAMPNS, TIMESPEC
from ..stmin import STmin
from . import frame_table, terminal
from .terminal import say

if TYPE_CHECKING:
    from .main import Commands

# Not the identifiers of diagnostics (0x7E0 and so on): a simulated ECU may be on the same vcan.
_TESTER, _ECU, _NOBODY, _NOBODYS_ANSWER = 0x6A0, 0x6A8, 0x6B0, 0x6B8
_BS: Final = 5
_STMIN: Final = STmin.from_ms(1)
_FRAME: Final = struct.Struct("=IB3x8s")
_MAKE_VCAN: Final = "sudo ip link add vcan0 type vcan && sudo ip link set vcan0 up"
_OR_VM: Final = "or: make demo, in a checkout of the project, brings a kernel with ISO-TP in a VM"


def add_parser(commands: "Commands") -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "demo",
        help="send a long message over a vcan and explain the CAN frames",
        description="Send a long message from one socket to another over a vcan (never a real bus), show and explain\n"
        "the CAN frames in between; then send one to an identifier nobody listens to.",
        epilog=f"example:\n  {_MAKE_VCAN}\n  python -m isotp demo --interface vcan0 --size 100",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--interface", metavar="NAME", help="a vcan (default: the first one that is up)")
    parser.add_argument("--size", type=_size, default=100, metavar="N", help="bytes to send (default: 100)")
    parser.set_defaults(run=run)


def _size(text: str) -> int:
    size = int(text)
    if size < 1:
        raise argparse.ArgumentTypeError("a message has at least 1 byte")
    return size


def run(arguments: argparse.Namespace) -> int:
    """Show it; 0 when both parts went as they should."""
    try:
        name = _choose_vcan(arguments.interface)
        return 0 if _show_transfer(name, arguments.size) and _show_failure(name) else 1
    except UnavailableError as e:
        print(f"{e}\n  {_OR_VM}", file=sys.stderr)
        return 1


def _choose_vcan(wanted: str | None) -> str:
    """The interface to use: a vcan, for nothing here may reach a real bus."""
    from ..kernel.support import open_native_socket

    open_native_socket().close()  # first of all: is there ISO-TP at all

    from ..interface import can_interfaces
    from ..kernel.rtnetlink import query_link

    found = {i.name: i for i in can_interfaces()}
    virtual = [name for name in found if query_link(name).kind == "vcan"]
    if wanted is None:
        running = [name for name in virtual if found[name].is_up]
        if not running:
            remedy = f"sudo ip link set {virtual[0]} up" if virtual else _MAKE_VCAN
            raise InterfaceError("no vcan is up here", remedy=f"{remedy}\n  {_OR_VM}")
        return running[0]
    if wanted in found and wanted not in virtual:
        raise InterfaceError(f"{wanted} is not a vcan, and the demo sends on nothing else", remedy=_MAKE_VCAN)
    return wanted  # what else can be wrong with it, bind() says


def _show_transfer(name: str, size: int) -> bool:
    import isotp

    message = (bytes(range(256)) * (size // 256 + 1))[:size]
    with isotp.socket() as tester, isotp.socket(timeout=5.0) as ecu:
        ecu.set_fc_opts(bs=_BS, stmin=_STMIN)
        ecu.bind(name, rxid=_TESTER, txid=_ECU)
        tester.bind(name, rxid=_ECU, txid=_TESTER)
        asks = f"; the ECU asks for BS={_BS} and STmin=1 ms" if size > 7 else ""
        say(f"{name}: {size} bytes, tester (-> {_TESTER:03X}) to ECU (<- {_ECU:03X}){asks}.")
        print(flush=True)
        with _Recorder(name) as recorder:
            begin = time.perf_counter()
            tester.send(message)
            sent = time.perf_counter()
            received = ecu.recv()
            end = time.perf_counter()
    frames = recorder.frames
    for line in frame_table.lines(frames, _TESTER, terminal.width()):
        print(line)
    on_bus = (frames[-1].time_ns - frames[0].time_ns) / 1e6 if frames else 0.0
    same = received == message
    print()
    say(f"{len(frames)} CAN frame(s) in {on_bus:.3f} ms: {frame_table.count(frames)}.")
    say(
        f"send() took {(sent - begin) * 1e3:.3f} ms: it came back when all was on the bus. "
        f"recv() had the message {(end - sent) * 1e3:.3f} ms later."
    )
    verdict = "identical to what was sent" if same else "NOT what was sent"
    say(f"Received: {len(received)} bytes, {verdict}.", terminal.GREEN if same else terminal.RED)
    return same


def _show_failure(name: str) -> bool:
    import isotp

    size = 20
    print()
    say(f"Now {size} bytes to {_NOBODY:03X}, where nobody listens. A plain kernel socket would call them sent;")
    with isotp.socket() as lonely:
        lonely.bind(name, rxid=_NOBODYS_ANSWER, txid=_NOBODY)
        begin = time.perf_counter()
        try:
            lonely.send(bytes(size))
        except FlowControlTimeoutError as e:
            print(f"isotp.socket raises, after {time.perf_counter() - begin:.2f} s:\n")
            for line in f"{type(e).__name__}: {e}".splitlines():
                say(f"  {line}", terminal.RED, indent=" " * 9)
            return True
    say(f"but somebody on {name} answered with {_NOBODYS_ANSWER:03X}. Try another vcan.", terminal.RED)
    return False


class _Recorder:
    """The frames of the demo's link, with the kernel's time stamps; a thread reads them as they come."""

    def __init__(self, interface: str) -> None:
        self.frames: list[frame_table.Frame] = []
        self._raw = raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=4I", _TESTER, 0x7FF, _ECU, 0x7FF))
        raw.bind((interface,))
        raw.settimeout(0.1)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        while True:
            try:
                raw, ancillary, _, _ = self._raw.recvmsg(_FRAME.size, 64)
            except TimeoutError:
                if self._ending.is_set():
                    return
                continue
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            can_id, length, data = _FRAME.unpack(raw)
            self.frames.append(frame_table.Frame(seconds * 1_000_000_000 + nanoseconds, can_id, data[:length]))

    def __enter__(self) -> "_Recorder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._raw.close()
