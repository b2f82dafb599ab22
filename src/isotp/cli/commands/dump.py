"""isotp dump: ISO-TP as it goes over a bus, or as a log file has it; nothing is ever sent."""

from importlib.util import find_spec
from typing import Annotated, Final

import typer

from ..errors import UnavailableError
from . import look, status
from .frame_lines import FrameLines
from .json_lines import JsonLines
from .link_options import Bitrate, Fixed, Mixed, RxId, TxId
from .look import Look, Times
from .message_lines import MessageLines
from .passive import Adapters, AnyExtended, CanFd, Target, observer_maker, open_source, report
from .watching import Display, Watch
from .writer import Writer

EXAMPLES: Final = (
    "isotp dump vcan0",
    "isotp dump --messages drive.blf",
    "isotp dump vcan0 -s 7E0 -d 7E8 --messages --ascii",
    "candump -L vcan0 | isotp dump --messages --json -",
)

_HEAD: Final = 256


def command(
    source: Target = None,
    messages: Annotated[
        bool, typer.Option("-m", "--messages", help="whole messages with their timing, not single frames")
    ] = False,
    ascii_too: Annotated[bool, typer.Option("-a", "--ascii", help="bytes as characters, too")] = False,
    times: Annotated[
        Times | None,
        typer.Option(
            "-t",
            "--time",
            metavar="z|a|d|A",
            parser=look.times,
            help="time stamps: z from the first one, a absolute, d from the last one, A date; z unless given",
        ),
    ] = None,
    names: Annotated[bool, typer.Option("--uds/--no-uds", help="names of UDS services")] = True,
    head: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="with --messages: bytes shown of each; 0: all; 256 unless given"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, all bytes of each message")] = False,
    count: Annotated[int, typer.Option("-n", "--count", metavar="N", min=0, help="stop after N; 0: never")] = 0,
    bus: Adapters = None,
    bitrate: Bitrate = None,
    can_fd: CanFd = False,
    txid: TxId = None,
    rxid: RxId = None,
    extended: AnyExtended = None,
    mixed: Mixed = None,
    fixed: Fixed = None,
) -> int:
    """Show the ISO-TP traffic of a bus or a log file, frame by frame or as messages.

    Without addresses the links are found: flow control that answers a first frame, responses that fit a request.
    """
    if as_json and (ascii_too or times is not None or head is not None):
        raise typer.BadParameter("--json has all bytes and absolute times: leave out --ascii, --time and --head")
    if head is not None and not messages:
        raise typer.BadParameter("--head is for messages, and these are frames: say --messages, or leave it out")
    if names and find_spec("udsoncan") is None:
        raise UnavailableError("udsoncan is not installed", remedy="pip install 'isotp[cli]', or say --no-uds")
    new_observer = observer_maker(txid, rxid, extended, mixed, fixed)
    frames = open_source(source, bus, bitrate, can_fd)
    out = Writer(count)
    display: Display
    if as_json:
        display = JsonLines(not messages, names, out)
    elif messages:
        display = MessageLines(Look(times or Times.ZERO, ascii_too), names, _HEAD if head is None else head, out)
    else:
        display = FrameLines(Look(times or Times.ZERO, ascii_too), names, out)
    watch = Watch(frames, new_observer, display)
    try:
        watch.run()
    finally:
        report(frames, watch)
    return status.DONE if watch.frames or frames.is_live else status.FAILED
