"""isotp scan: ISO-TP endpoints, found by sending first frames and watching for flow control."""

import argparse
import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

import isotp

from ...address import CAN_EFF_FLAG, CanAddress
from ...can_frame import CanFrame
from ...engine.n_pdu import FirstFrame, FlowControl, FlowStatus, decode
from ...errors import OptionError
from .. import status
from ..links.buses import check_bitrate, open_bus, socketcan_bus
from ..links.link import Link
from ..links.raw_frames import RawFrames, beside, driven
from ..links.remedies import in_use
from ..links.virtual_peer import join
from ..options import values
from ..options.groups import INTERFACE, add_base, add_bus, interface_of
from ..output import terminal, units
from ..output.progress import Bar
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] INTERFACE"
DESCRIPTION: Final = """
Find ISO-TP endpoints: send a first frame to each identifier, and see which of them answer with flow control.

THIS WRITES TO THE BUS, to every identifier of the range. Do not do it on a vehicle that moves: what else those
frames mean there is not known. Each endpoint is asked twice before it is believed. Exit status 3: none found.
"""
EXAMPLES: Final = (
    "isotp scan --bus virtual --range 7D0-7E8",
    "isotp scan can0",
    "isotp scan can0 --range 000-7FF --wait 10ms",
    "isotp scan can0 --fixed F1",
    "isotp scan can0 --fixed F1 --base any",
    "isotp scan can0 --range 6F1 --extended 00-FF",
)

_MESSAGE: Final = 100  # bytes announced; they never follow, and the endpoint forgets them after N_Cr
_AGAIN: Final = 2  # probes before, that a late answer may belong to
_PATIENCE: Final = 10  # how much longer a second probe waits
_WAIT_S: Final = 0.03
_LISTEN_S: Final = 0.5
_BASE: Final = 0x18DA0000
_PRIORITIES: Final = range(0x00DA0000, 0x20000000, 1 << 26)  # 00DA, 04DA and so on to 1CDA


class Probe(NamedTuple):
    """An identifier to send to."""

    can_id: int
    address: bytes
    """The byte before the N_PCI, or nothing."""


class Found(NamedTuple):
    """An endpoint that answered."""

    probe: Probe
    can_id: int
    address: bytes
    answer: FlowControl


class Form(NamedTuple):
    """What the frames of the scan are."""

    fd: bool
    brs: bool

    def first_frame(self, probe: Probe) -> CanFrame:
        """The frame that asks an endpoint."""
        size = (64 if self.fd else 8) - len(probe.address) - 2
        data = FirstFrame(_MESSAGE, bytes(size)).encode(probe.address)
        return CanFrame(probe.can_id, data, self.fd, self.brs)

    @property
    def options(self) -> str:
        """The options of `isotp send` for such frames."""
        return " --brs" if self.brs else " --fd" if self.fd else ""


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("words", nargs="*", metavar="INTERFACE", help=INTERFACE)
    parser.add_argument(
        "--range",
        metavar="ID-ID",
        type=values.id_range,
        help="identifiers to try, of 11 bits, or of 29 bits with 8 digits each (default: 700-7FF)",
    )
    parser.add_argument(
        "--fixed",
        metavar="SA",
        type=values.byte,
        help="try normal fixed identifiers of 29 bits, 18DA<00 to FF><SA>; SA is our own address, F1 for testers",
    )
    add_base(parser, or_any=True)
    parser.add_argument(
        "-x",
        "--extended",
        metavar="TA-TA",
        type=values.byte_range,
        help="extended addressing: try these target addresses on each identifier",
    )
    parser.add_argument("--fd", action="store_true", help="send CAN FD frames of 64 bytes (default: Classical CAN)")
    parser.add_argument("--brs", action="store_true", help="send CAN FD frames with the second bit rate for the data")
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=values.seconds,
        default=_WAIT_S,
        help="time for an answer, and so from one probe to the next, with its unit (default: 30ms)",
    )
    parser.add_argument(
        "--listen",
        metavar="TIME",
        type=values.seconds,
        default=_LISTEN_S,
        help="listen first, with its unit: flow control that comes unasked is no answer (default: 500ms)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object a line for each endpoint, with the keys of isotp dump"
    )
    add_bus(parser)


def run(arguments: argparse.Namespace) -> int:
    """Scan; 0 when an endpoint was found."""
    interface = interface_of(arguments.words, arguments.bus)
    check_bitrate(arguments.bus, arguments.bitrate)
    form = Form(arguments.fd or arguments.brs, arguments.brs)
    probes = _probes(arguments)
    where = str(interface or arguments.bus)
    shown = where if interface else f"--bus {where}"
    terminal.to_stderr(f"scan writes {len(probes)} frames to {where}, one every {arguments.wait * 1e3:g} ms")
    count = 0
    opening = _open(interface, arguments.bus, arguments.bitrate, form)
    with opening as node, in_use(), Bar("probes", len(probes)) as bar:
        for found in _Scan(node, form, arguments.wait).run(probes, arguments.listen, bar):
            count += 1
            with bar.hidden():
                print(_json(found, where) if arguments.json else _line(found, shown, form), flush=True)
    if not count:
        terminal.to_stderr("no endpoint answered")
    return status.DONE if count else status.NOTHING_CAME


def _probes(arguments: argparse.Namespace) -> list[Probe]:
    can_ids: list[int] = list(arguments.range or range(0x700, 0x800))
    if arguments.fixed is not None:
        if arguments.range is not None:
            raise WrongUsage("--fixed says which identifiers: leave out --range")
        source, base = arguments.fixed, _BASE if arguments.base is None else arguments.base
        bases = _PRIORITIES if base == values.ANY_BASE else [base]
        can_ids = [CAN_EFF_FLAG | base | target << 8 | source for base in bases for target in range(0x100)]
        can_ids = [can_id for can_id in can_ids if can_id >> 8 & 0xFF != source]
    elif arguments.base is not None:
        raise WrongUsage("--base is for the identifiers that --fixed makes: say --fixed, or leave it out")
    addresses = [b""] if arguments.extended is None else [bytes((ta,)) for ta in arguments.extended]
    return list(itertools.starmap(Probe, itertools.product(can_ids, addresses)))


@contextmanager
def _open(interface: str | None, where: values.Where | None, bitrate: int | None, form: Form) -> Iterator[RawFrames]:
    with ExitStack() as stack:
        if where is None:
            assert interface is not None
            bus = socketcan_bus(interface)
        else:
            bus = open_bus(stack, where, bitrate, form.fd)
        if where is not None and where.is_virtual:
            assert isinstance(bus, isotp.VirtualBus)
            for peer in (Link(txid=0x7E0, rxid=0x7E8, fd=form.fd), Link(fixed=values.Bytes2(0x10, 0xF1), fd=form.fd)):
                join(stack, bus, peer, speaks=False)
            yield stack.enter_context(beside(bus))
            return
        node = stack.enter_context(driven(bus))
        if form.fd and not bus.has_can_fd:
            raise OptionError(f"{bus.name} is Classical CAN", remedy="leave out --fd and --brs; or make it CAN FD")
        yield node


class _Scan:
    """Sends the probes of a scan and waits for flow control.

    Args:
        node: the bus.
        form: of the frames.
        wait_s: seconds to wait for an answer.
    """

    def __init__(self, node: RawFrames, form: Form, wait_s: float) -> None:
        self._node = node
        self._form = form
        self._wait_s = wait_s

    def run(self, probes: list[Probe], listen_s: float, bar: Bar) -> Iterator[Found]:
        """The endpoints, as they are found; `listen_s`: seconds to listen before the first probe."""
        address_size = len(probes[0].address) if probes else 0
        talkers = {frame.can_id for frame, _ in self._flow_controls(listen_s, address_size)}
        known: set[tuple[Probe, int]] = set()
        for number, probe in enumerate(probes):
            for frame, _ in self._ask(probe, self._wait_s):
                if frame.can_id in talkers:
                    continue
                for asked in reversed(probes[max(0, number - _AGAIN) : number + 1]):
                    if (asked, frame.can_id) not in known and (found := self._confirm(asked, frame.can_id)):
                        known.add((asked, frame.can_id))
                        yield found
                        break
            bar.advance(1)

    def _confirm(self, probe: Probe, can_id: int) -> Found | None:
        """Ask once more, and wait longer."""
        for frame, answer in self._ask(probe, self._wait_s * _PATIENCE, until=can_id):
            if frame.can_id == can_id:
                return Found(probe, can_id, frame.data[: len(probe.address)], answer)
        return None

    def _ask(self, probe: Probe, seconds: float, until: int | None = None) -> Iterator[tuple[CanFrame, FlowControl]]:
        self._node.send(self._form.first_frame(probe))
        for frame, answer in self._flow_controls(seconds, len(probe.address)):
            yield frame, answer
            if frame.can_id == until:
                return

    def _flow_controls(self, seconds: float, address_size: int) -> Iterator[tuple[CanFrame, FlowControl]]:
        deadline = time.monotonic() + seconds
        is_over = False
        while not is_over:
            left = deadline - time.monotonic()
            is_over = left <= 0  # with a last look: on a busy machine what came in time is read late
            for frame in self._node.receive(max(0.0, left)):
                n_pdu = decode(frame.data, address_size)
                if isinstance(n_pdu, FlowControl) and n_pdu.status in tuple(FlowStatus):
                    yield frame, n_pdu


def _line(found: Found, where: str, form: Form) -> str:
    """The endpoint, its flow control, and a command that talks to it."""
    answer = found.answer
    arguments = f"-s {units.short_address(CanAddress(found.probe.can_id))}"
    arguments += f" -d {units.short_address(CanAddress(found.can_id))}"
    if found.probe.address:
        arguments += f" -x {found.probe.address.hex().upper()}:{found.address.hex().upper()}"
    flow = f"{FlowStatus(answer.status).name} BS={answer.bs} STmin={units.stmin_text(answer.stmin)}"
    command = f"isotp send {where} {arguments}{form.options} -w 3E 00"
    return f"{terminal.paint(arguments, terminal.GREEN)}  {flow}\n  {command}"


def _json(found: Found, where: str) -> str:
    answer = found.answer
    source = CanAddress(found.probe.can_id, *found.probe.address)
    known = units.json_link(where, source, CanAddress(found.can_id, *found.address))
    return units.json_text(known | {"fs": answer.status, "bs": answer.bs, "stmin": answer.stmin})
