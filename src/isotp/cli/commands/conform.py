"""isotp conform: an ECU, the kernel or our engine against the requirements of ISO 15765-2."""

import argparse
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from fnmatch import fnmatchcase
from typing import Final

import isotp

from ...errors import IsoTpError, OptionError, SocketClosedError
from ...testing.conformance import Case, Difference, EngineSubject, Report, Result, Subject, Verdict, all_cases
from ...testing.conformance.bus_subject import BusSubject, ask
from ...testing.conformance.cases.ecu import Dialogue, ecu_cases
from ...testing.conformance.differences import ENGINE, KERNEL
from ...testing.conformance.engine_subject import demo_answer
from ...testing.conformance.nodes import BusNode, Node, RawNode, VirtualNode
from ...testing.conformance.report import case_lines
from ...testing.conformance.runner import run_cases
from .. import status
from ..links.buses import check_bitrate, open_bus
from ..links.remedies import in_use
from ..links.virtual_peer import opposite
from ..options import values
from ..options.addresses import AnyAddress, Way, make_address
from ..options.groups import INTERFACE, add_addresses, add_bus, interface_of
from ..output import terminal, units
from ..output.progress import Bar
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] INTERFACE"
DESCRIPTION: Final = """
Try an ECU by the requirements of ISO 15765-2, and report which of them it meets.

THIS WRITES TO THE BUS: requests (3E 00 unless you say another one), and frames that are wrong on purpose, to this one
ECU. Nothing else may talk to it meanwhile. Do not do it on a vehicle that moves.

Over a bus an ECU cannot be asked to send, and does not say what it received: judged is what it answers. How it sends
long messages is judged if you name a request with a long answer (--reply). With --of engine or --of kernel the whole
suite runs against the engine of this library, or against the ISO-TP of this Linux on a vcan; what is known to differ
from the standard on purpose is listed as such.

Exit status: 0 if nothing failed, 1 if something did, 3 if the ECU does not answer.
"""
EXAMPLES: Final = (
    "isotp conform --bus virtual -s 7E0 -d 7E8 --reply 22F190 --cases 'ECU/reply/BS*'",
    "isotp conform can0 -s 7E0 -d 7E8 -p CC",
    "isotp conform --of engine --json",
    "isotp conform vcan0 --of kernel --cases 'timing/*'",
)

_COLOURS: Final = {
    Verdict.PASSED: terminal.GREEN,
    Verdict.FAILED: terminal.RED,
    Verdict.DIFFERS: terminal.YELLOW,
    Verdict.NOT_APPLICABLE: terminal.CYAN,
}
_SUBJECTS: Final = ("ecu", "engine", "kernel")


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("words", nargs="*", metavar="INTERFACE", help=INTERFACE)
    parser.add_argument(
        "--of",
        choices=_SUBJECTS,
        default="ecu",
        metavar="|".join(_SUBJECTS),
        help="what is tried (default: ecu, what answers at these addresses)",
    )
    parser.add_argument(
        "--request",
        metavar="HEX",
        type=values.hex_data,
        default=b"\x3e\x00",
        help="a request that fits one frame and that the ECU always answers with one frame (default: 3E00)",
    )
    parser.add_argument(
        "--reply", metavar="HEX", type=values.hex_data, help="a request with a long answer that is always the same"
    )
    parser.add_argument(
        "--cases", metavar="PATTERN", default="*", help="only the cases whose names fit, with * and ? as for files"
    )
    parser.add_argument("--list", action="store_true", help="print the cases and their clauses, and try nothing")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the cases that passed, too")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    add_addresses(parser)
    group = parser.group("CAN frames")
    group.add_argument("--fd", action="store_true", help="CAN FD (default: Classical CAN)")
    group.add_argument(
        "-p",
        "--padding",
        metavar="TX",
        type=values.byte,
        help="the byte with which the tester fills up its frames, hexadecimal (default: they are not filled up)",
    )
    add_bus(parser)


def run(arguments: argparse.Namespace) -> int:
    """Try it; 0 when nothing failed."""
    if arguments.list:
        cases: Sequence[Case] = ecu_cases(Dialogue(arguments.request)) if arguments.of == "ecu" else all_cases()
        return _print_list(_chosen(cases, arguments.cases))
    with _subject(arguments) as (subject, cases, differences):
        return _try(subject, _chosen(cases, arguments.cases), differences, arguments)


def _chosen(cases: Sequence[Case], pattern: str) -> list[Case]:
    chosen = [case for case in cases if fnmatchcase(case.name, pattern)]
    if not chosen:
        raise WrongUsage(f"--cases {pattern!r} fits no case: --list prints all names")
    return chosen


def _print_list(cases: Sequence[Case]) -> int:
    for case in cases:
        print(f"{case.name}  (ISO 15765-2:2016, {case.clause})")
    return status.DONE


def _try(subject: Subject, cases: list[Case], differences: Sequence[Difference], arguments: argparse.Namespace) -> int:
    def show(result: Result) -> None:
        bar.advance(1)
        if arguments.json or not (arguments.verbose or result.verdict in (Verdict.FAILED, Verdict.DIFFERS)):
            return
        with bar.hidden():
            head, *others = case_lines(result)
            print("\n".join([terminal.paint(head, _COLOURS[result.verdict]), *others]), flush=True)

    with Bar("cases", len(cases)) as bar:
        report = Report(subject.name, run_cases(cases, subject, differences, show))
    if arguments.json:
        print(units.json_text(report.as_dict(), indent=2))
    else:
        for why, count in report.not_applicable().items():
            print(f"not applicable: {count}, {why}")
        print(terminal.paint(report.summary(), terminal.GREEN if report.has_passed else terminal.RED))
    return status.FAILED if report.counts[Verdict.FAILED] else status.DONE


Trial = tuple[Subject, Sequence[Case], Sequence[Difference]]


@contextmanager
def _subject(arguments: argparse.Namespace) -> Iterator[Trial]:
    """What is tried, the cases for it, and how it is known to differ."""
    if arguments.of != "ecu" and (arguments.bus is not None or arguments.reply is not None):
        raise WrongUsage(f"--of {arguments.of} has its own requests and no --bus: leave out --bus and --reply")
    if arguments.of == "engine":
        if arguments.words:
            raise WrongUsage(f"--of engine needs no interface: {arguments.words[0]!r} is too many")
        yield EngineSubject(), all_cases(), ENGINE
    elif arguments.of == "kernel":
        interface = interface_of(arguments.words, None)
        assert interface is not None
        from ...testing.conformance.socket_subject import KernelSubject  # not on every system

        yield KernelSubject(interface), all_cases(), KERNEL
    else:
        with _ecu(arguments) as trial:
            yield trial


@contextmanager
def _ecu(arguments: argparse.Namespace) -> Iterator[Trial]:
    interface = interface_of(arguments.words, arguments.bus)
    check_bitrate(arguments.bus, arguments.bitrate)
    ours = make_address(
        Way.BOTH,
        *(arguments.txid, arguments.rxid, arguments.extended),
        *(arguments.mixed, arguments.fixed, arguments.base),
    )
    if len(arguments.request) < 2:
        raise WrongUsage("--request needs two bytes or more, such as 3E00")
    with ExitStack() as stack:
        stack.enter_context(in_use())
        node = _node(stack, arguments, interface, ours)
        dialogue = _dialogue(node, ours, arguments)
        subject = BusSubject(
            node,
            opposite(ours),
            can_fd=arguments.fd,
            padding=arguments.padding,
            has_long_answer=bool(dialogue.reply),
            name=f"{interface or arguments.bus} {ours}",
        )
        address_size = 0 if ours.rx is None or ours.rx.address_byte is None else 1
        yield subject, ecu_cases(dialogue, arguments.fd, address_size), ()


def _node(stack: ExitStack, arguments: argparse.Namespace, interface: str | None, ours: AnyAddress) -> Node:
    assert ours.rx is not None
    if interface is not None:
        return stack.enter_context(closing(RawNode(interface, [ours.rx.can_id])))
    bus = open_bus(stack, arguments.bus, arguments.bitrate, arguments.fd)
    if not arguments.bus.is_virtual:
        node = stack.enter_context(closing(BusNode(bus, [ours.rx.can_id])))
        if arguments.fd and not bus.has_can_fd:
            raise OptionError(f"{bus.name} is Classical CAN", remedy="leave out --fd; or make it CAN FD")
        return node
    assert isinstance(bus, isotp.VirtualBus)
    _demo_ecu(stack, bus, opposite(ours), arguments.fd)
    return stack.enter_context(closing(VirtualNode(bus)))


def _dialogue(node: Node, ours: AnyAddress, arguments: argparse.Namespace) -> Dialogue:
    """Ask the ECU once what the cases will ask it, so that they know the answer."""

    def answer(request: bytes) -> tuple[bytes, int]:
        try:
            return ask(node, ours, request, can_fd=arguments.fd, padding=arguments.padding)
        except TimeoutError as e:
            raise TimeoutError(f"{e}\n  to do: are -s and -d right? does the ECU need padding (-p CC)?") from None

    short, first = answer(arguments.request)
    if first:
        raise WrongUsage(
            f"{arguments.request.hex(' ').upper()} is answered with {len(short)} bytes in several frames: "
            "--request needs one that is answered with one frame, and this one is for --reply"
        )
    if arguments.reply is None:
        return Dialogue(arguments.request)
    reply, first = answer(arguments.reply)
    if not first:
        raise WrongUsage(
            f"--reply {arguments.reply.hex(' ').upper()} is answered with one frame, {reply.hex(' ').upper()}: needed "
            "is a request with an answer of several frames"
        )
    return Dialogue(arguments.request, arguments.reply, reply, first)


def _demo_ecu(stack: ExitStack, bus: isotp.VirtualBus, address: AnyAddress, can_fd: bool) -> None:
    """An ECU on the virtual bus until `stack` unwinds: `SoftSocket`, which answers a few requests."""
    sock = isotp.SoftSocket(bus)
    if can_fd:
        sock.set_ll_opts(mtu=72, tx_dl=8)
    sock.bind(address)

    def serve() -> None:
        while True:
            try:
                sock.send(demo_answer(sock.recv()))
            except SocketClosedError:
                return
            except IsoTpError:  # a message that broke off, as it does in half of the cases
                continue

    thread = threading.Thread(target=serve, name="demo ECU", daemon=True)

    def leave() -> None:
        sock.close()
        thread.join()

    stack.callback(leave)
    thread.start()
