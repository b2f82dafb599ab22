"""Pictures of transfers as they ran on a bus in simulated time: the example of the README, and what goes wrong."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import isotp
from isotp import Faults
from isotp.bus import CanFrame
from isotp.engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, FlowStatus, SingleFrame, decode
from isotp.testing import FakeClock, SimulatedSocket

from .svg import Drawing

MESSAGE: Final = b"Hello, this is a long payload sent in small chunks of 8 bytes."
_LEFT, _RIGHT, _TOP, _STEP = 150, 590, 66, 30
_FRAME_NS: Final = 230_000  # 8 bytes at 500 kbit/s
_SENDER: Final = 0x123
_STATUS: Final[dict[int, str]] = {
    FlowStatus.CTS: "continue",
    FlowStatus.WAIT: "wait",
    FlowStatus.OVFLW: "no room",
}


class Seen(NamedTuple):
    """A frame that was sent."""

    time_ns: int
    can_id: int
    data: bytes
    is_lost: bool


class Run(NamedTuple):
    """What was sent, and how the calls at both ends ended."""

    frames: list[Seen]
    sent: str
    received: str


def run(faults: Faults, message: bytes = MESSAGE, bs: int = 0) -> Run:
    """Send `message` from one socket to another while `faults` happen."""
    clock = FakeClock()
    seen: list[Seen] = []

    def fate(frame: CanFrame) -> Iterable[tuple[int, CanFrame]]:
        copies = list(faults(frame))
        shown = copies or [(0, frame)]
        seen.extend(Seen(clock() + ns, one.can_id, one.data, not copies) for ns, one in shown)
        return copies

    bus = isotp.VirtualBus(clock=clock, frame_ns=_FRAME_NS, fate=fate)
    with SimulatedSocket(bus, 3.0) as s, SimulatedSocket(bus, 3.0) as s2:
        s.set_fc_opts(stmin=5, bs=bs, wftmax=2)
        s2.set_fc_opts(wftmax=2)
        s.bind(rxid=_SENDER, txid=0x456)
        s2.bind(rxid=0x456, txid=_SENDER)
        ends = [_ending(call) for call in (lambda: s2.send(message), s.recv)]
    return Run([frame._replace(time_ns=frame.time_ns - seen[0].time_ns) for frame in seen], *ends)


def _ending(call: Callable[[], object]) -> str:
    """How a call ends, in a word."""
    try:
        call()
    except OSError as e:
        return type(e).__name__
    return "returns"


def words(data: bytes) -> str:
    """What a frame says, in a line."""
    match decode(data):
        case SingleFrame(part):
            return f"SingleFrame  {part.hex(' ')}"
        case FirstFrame(length, part):
            return f'FirstFrame  {length} bytes  "{part.decode()}"'
        case FlowControl(status, bs, stmin):
            return f"FlowControl  {_STATUS.get(status, 'unknown status')}, BS {bs}, STmin {stmin} ms"
        case ConsecutiveFrame(sn, part):
            return f'ConsecutiveFrame {sn}  "{part.decode()}"'
    return data.hex(" ")


def draw(seen: Run, title: str) -> Drawing:
    """The frames between two sockets, and the ends of `send` and `recv`."""
    bottom = _TOP + _STEP * len(seen.frames)
    picture = Drawing(740, bottom + 34, title)
    for x, call, end in ((_LEFT, "s2.send(...)", seen.sent), (_RIGHT, "s.recv()", seen.received)):
        picture.box(x - 85, 8, 170, 28)
        picture.text(x, 27, call, "middle strong")
        picture.line((x, 36), (x, bottom + 4))
        picture.text(x, bottom + 22, end, "middle" if end == "returns" else "middle mark")
    for number, frame in enumerate(seen.frames):
        _draw_frame(picture, frame, _TOP + _STEP * number)
    return picture


def _draw_frame(picture: Drawing, frame: Seen, y: float) -> None:
    is_ours = frame.can_id == _SENDER
    start, end = (float(_LEFT), float(_RIGHT)) if is_ours else (float(_RIGHT), float(_LEFT))
    kind = "" if is_ours else "mark"
    if frame.is_lost:
        end = (start + 5 * end) / 6
        picture.line((start, y), (end, y), kind=f"dashed {kind}")
        picture.text(end + (6 if is_ours else -6), y + 4, "lost", "strong" if is_ours else "strong end")
    else:
        picture.arrow((start, y), (end, y), kind=kind)
    picture.text((_LEFT + _RIGHT) / 2, y - 6, words(frame.data), f"middle {kind}")
    picture.text(_LEFT - 12, y + 4, f"{frame.time_ns / 1e6:.1f} ms", "end soft")
    picture.text(_RIGHT + 12, y + 4, f"{frame.can_id:03X}", "soft")


# --- the pictures

_FAILURES: Final[dict[str, Callable[[], Faults]]] = {
    "N_TIMEOUT_Bs": lambda: Faults().lose("FC"),
    "N_TIMEOUT_Cr": lambda: Faults().lose("CF", since=3),
    "N_WRONG_SN": lambda: Faults().lose("CF", 2),
    "N_BUFFER_OVFLW": lambda: Faults().replace("FC", 1, by="FC OVFLW"),
    "N_INVALID_FS": lambda: Faults().replace("FC", 1, by="FC 3 .."),
    "N_WFT_OVRN": lambda: Faults().replace("FC", 1, by=["FC WAIT"] * 3, seconds=0.2),
    "N_UNEXP_PDU": lambda: Faults().insert("CF", 3, frames="SF 3E 00"),
}


def transfer() -> Drawing:
    """The example of the README."""
    return draw(run(Faults(), bs=10), f"{len(MESSAGE)} bytes sent in CAN frames between two sockets")


def failures() -> Iterator[tuple[str, Drawing]]:
    """For each N_Result that frames can show: its name, and a transfer that ends so."""
    for name, faults in _FAILURES.items():
        seen = run(faults(), MESSAGE[:32])
        yield name, draw(seen, f"a transfer that ends with {name}")
