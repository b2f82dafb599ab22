"""isotp scan: ISO-TP endpoints, found by sending first frames and watching for flow control."""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Final, NamedTuple

import typer

from ..address import CAN_EFF_FLAG, CanAddress
from ..can_frame import CanFrame
from ..engine.n_pdu import FirstFrame, FlowControl, FlowStatus, decode
from ..stmin import STmin
from . import json_keys, status, terminal, values
from .addresses import short_address
from .buses import check_bitrate, in_use, open_bus, socketcan_bus
from .link import BIGGEST, Link
from .link_options import Bitrate, Bus, Interface
from .progress import Bar
from .raw_frames import RawFrames, beside, driven

EXAMPLES: Final = (
    "isotp scan --bus virtual --range 7D0-7E8",
    "isotp scan can0",
    "isotp scan can0 --range 000-7FF --wait 10ms",
    "isotp scan can0 --fixed F1",
    "isotp scan can0 --range 6F1 --extended 00-FF",
)

_MESSAGE: Final = 20  # bytes announced; they never follow, and the endpoint forgets them after N_Cr
_AGAIN: Final = 2  # probes before, that a late answer may belong to
_PATIENCE: Final = 10  # how much longer a second probe waits


class Probe(NamedTuple):
    """Whom to ask."""

    can_id: int
    address: bytes
    """The byte before the N_PCI, or nothing."""


class Found(NamedTuple):
    """Who answered."""

    probe: Probe
    can_id: int
    address: bytes
    answer: FlowControl


def command(
    interface: Interface = None,
    ids: Annotated[
        values.Range | None,
        typer.Option(
            "--range",
            metavar="ID-ID",
            parser=values.id_range,
            help="identifiers to try; 700-7FF unless given",
        ),
    ] = None,
    fixed: Annotated[
        int | None,
        typer.Option(
            metavar="SA",
            parser=values.byte,
            help="29 bits, normal fixed: try 18DA<00 to FF><SA>; testers are F1",
        ),
    ] = None,
    extended: Annotated[
        values.Range | None,
        typer.Option(
            "-x",
            "--extended",
            metavar="TA-TA",
            parser=values.byte_range,
            help="extended addressing: try these addresses on each identifier",
        ),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            metavar="TIME",
            parser=values.seconds,
            show_default=False,
            help="time for an answer, and so from one probe to the next; 30ms unless given",
        ),
    ] = 0.03,
    listen: Annotated[
        float,
        typer.Option(
            metavar="TIME",
            parser=values.seconds,
            show_default=False,
            help="listen first: who sends flow control unasked is no answer; 0.5s unless given",
        ),
    ] = 0.5,
    json_: Annotated[
        bool, typer.Option("--json", help="a JSON object a line for each endpoint, with the keys of isotp dump")
    ] = False,
    bus: Bus = None,
    bitrate: Bitrate = None,
) -> int:
    """Find ISO-TP endpoints: send a first frame to each identifier, and see who answers with flow control.

    THIS WRITES TO THE BUS, to every identifier of the range. Do not do it on a vehicle that moves: what else those
    frames mean there, nobody knows. Each endpoint is asked twice before it is believed. Exit status 3: none found.
    """
    if fixed is not None and ids is not None:
        raise typer.BadParameter("--fixed says which identifiers: leave out --range")
    probes = _probes(ids or values.Range(0x700, 0x7FF), fixed, extended)
    if (interface is None) == (bus is None):
        raise typer.BadParameter("one bus is needed: an INTERFACE such as can0, or --bus")
    check_bitrate(bus, bitrate)
    where = interface or bus
    terminal.tell(f"scan writes {len(probes)} frames to {where}, one every {wait * 1e3:g} ms")
    count = 0
    with _open(interface, bus, bitrate) as node, in_use(), Bar("probes", len(probes)) as bar:
        for found in _scan(node, probes, wait, listen, bar):
            count += 1
            with bar.hidden():
                print(_json(found, str(where)) if json_ else _line(found, str(where), bus is not None), flush=True)
    if not count:
        terminal.tell("no endpoint answered")
    return status.DONE if count else status.NOTHING_CAME


def _probes(ids: values.Range, fixed: int | None, extended: values.Range | None) -> list[Probe]:
    if fixed is None:
        can_ids: list[int] = list(ids)
    else:
        can_ids = [CAN_EFF_FLAG | 0x18DA0000 | target << 8 | fixed for target in range(0x100) if target != fixed]
    addresses = [b""] if extended is None else [bytes((ta,)) for ta in extended]
    return list(itertools.starmap(Probe, itertools.product(can_ids, addresses)))


@contextmanager
def _open(interface: str | None, where: values.Where | None, bitrate: int | None) -> Iterator[RawFrames]:
    with ExitStack() as stack:
        if where is None:
            assert interface is not None
            yield stack.enter_context(driven(socketcan_bus(interface)))
            return
        opened = open_bus(stack, where, bitrate, can_fd=False)
        if where.is_virtual:
            from ..bus.virtual import VirtualBus
            from .virtual_peer import join

            assert isinstance(opened, VirtualBus)
            join(stack, opened, Link(bus=where), Link(txid=0x7E0, rxid=0x7E8).address(), BIGGEST, False)
            yield stack.enter_context(beside(opened))
        else:
            yield stack.enter_context(driven(opened))


def _scan(node: RawFrames, probes: list[Probe], wait: float, listen: float, bar: Bar) -> Iterator[Found]:
    address_size = len(probes[0].address) if probes else 0
    talkers = {frame.can_id for frame, _ in _flow_controls(node, listen, address_size)}
    known: set[tuple[Probe, int]] = set()
    for number, probe in enumerate(probes):
        for frame, _ in _ask(node, probe, wait):
            if frame.can_id in talkers:
                continue
            for asked in reversed(probes[max(0, number - _AGAIN) : number + 1]):
                if (asked, frame.can_id) not in known and (found := _confirm(node, asked, frame.can_id, wait)):
                    known.add((asked, frame.can_id))
                    yield found
                    break
        bar.advance(1)


def _confirm(node: RawFrames, probe: Probe, can_id: int, wait: float) -> Found | None:
    """Ask once more, with more patience."""
    for frame, answer in _ask(node, probe, wait * _PATIENCE, until=can_id):
        if frame.can_id == can_id:
            return Found(probe, can_id, frame.data[: len(probe.address)], answer)
    return None


def _ask(
    node: RawFrames, probe: Probe, wait: float, until: int | None = None
) -> Iterator[tuple[CanFrame, FlowControl]]:
    size = 8 - len(probe.address) - 2
    node.send(CanFrame(probe.can_id, FirstFrame(_MESSAGE, bytes(size)).encode(probe.address)))
    for frame, answer in _flow_controls(node, wait, len(probe.address)):
        yield frame, answer
        if frame.can_id == until:
            return


def _flow_controls(node: RawFrames, seconds: float, address_size: int) -> Iterator[tuple[CanFrame, FlowControl]]:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for frame in node.receive(left):
            n_pdu = decode(frame.data, address_size)
            if isinstance(n_pdu, FlowControl) and n_pdu.status in tuple(FlowStatus):
                yield frame, n_pdu


def _arguments(found: Found) -> str:
    arguments = f"-s {short_address(CanAddress(found.probe.can_id))} -d {short_address(CanAddress(found.can_id))}"
    if found.probe.address:
        arguments += f" -x {found.probe.address.hex().upper()}:{found.address.hex().upper()}"
    return arguments


def _line(found: Found, where: str, is_bus: bool) -> str:
    answer = found.answer
    stmin = STmin(answer.stmin)
    time_ = f"{stmin.ns // 1_000_000} ms" if stmin.ns % 1_000_000 == 0 else f"{stmin.ns // 1000} us"
    flow = f"{FlowStatus(answer.status).name} BS={answer.bs} STmin={time_}"
    arguments = _arguments(found)
    bus = f"--bus {where}" if is_bus else where
    return f"{terminal.paint(arguments, terminal.GREEN)}  {flow}\n  isotp send {bus} {arguments} -w 3E 00"


def _json(found: Found, where: str) -> str:
    answer = found.answer
    source = CanAddress(found.probe.can_id, *found.probe.address)
    known = json_keys.link(where, source, CanAddress(found.can_id, *found.address))
    return json.dumps(known | {"fs": answer.status, "bs": answer.bs, "stmin": answer.stmin})
