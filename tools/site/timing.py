"""Where the time limits of ISO 15765-2:2016, 9.7, begin and end, and what N_PDUs look like."""

from typing import Final

from isotp.engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, FlowStatus, SingleFrame

from .svg import Drawing

_LEFT, _RIGHT = 190, 470
# of each frame: its name, who sends it, when it is asked for and when it is on the bus
_FRAMES: Final = (("FirstFrame", 1, 70, 100), ("FlowControl", -1, 160, 190), ("ConsecutiveFrame", 1, 250, 280))
_LATER: Final = (("ConsecutiveFrame", 1, 350, 380), ("ConsecutiveFrame", 1, 420, 450))
# limits of the sender at the left, of the receiver at the right: name, from, to
_SENDER: Final = (
    ("N_As", 70, 100),
    ("N_Bs", 100, 190),
    ("N_Cs", 190, 250),
    ("N_As", 250, 280),
    ("STmin", 280, 350),
    ("N_As", 350, 380),
)
_RECEIVER: Final = (("N_Br", 100, 160), ("N_Ar", 160, 190), ("N_Cr", 190, 280), ("N_Cr", 280, 380))


def limits() -> Drawing:
    """A transfer with the time limits of both sides."""
    drawing = Drawing(660, 490, "the time limits N_As to N_Cr in a transfer of several frames")
    for x, name in ((_LEFT, "sender"), (_RIGHT, "receiver")):
        drawing.box(x - 60, 10, 120, 28)
        drawing.text(x, 29, name, "middle strong")
        drawing.line((x, 38), (x, 480))
    for name, direction, asked, done in (*_FRAMES, *_LATER):
        start, end = (_LEFT, _RIGHT)[::direction]
        drawing.arrow((start, asked), (end, done), kind="" if direction > 0 else "mark")
        drawing.text((_LEFT + _RIGHT) / 2, (asked + done) / 2 - 10, name, "middle")
    for spans, x, side in ((_SENDER, _LEFT - 20, -1), (_RECEIVER, _RIGHT + 20, 1)):
        for name, begin, end in spans:
            for y in (begin, end):
                drawing.line((x - 6, y), (x + 6, y), kind="mark")
            drawing.line((x, begin), (x, end), kind="mark")
            drawing.text(x + side * 12, (begin + end) / 2 + 5, name, "mark end" if side < 0 else "mark")
    return drawing


# --- frames

_SHOWN: Final[tuple[tuple[str, SingleFrame | FirstFrame | FlowControl | ConsecutiveFrame, int], ...]] = (
    ("SingleFrame: the whole message", SingleFrame(b"\x22\xf1\x90"), 1),
    ("FirstFrame: the length, and the first bytes", FirstFrame(62, b"Hello,"), 2),
    ("FlowControl: CTS, BS 10, STmin 5 ms", FlowControl(FlowStatus.CTS, 10, 5), 3),
    ("ConsecutiveFrame: the sequence number, and more bytes", ConsecutiveFrame(1, b" this i"), 1),
)
_MEANING: Final = {
    SingleFrame: ("0L: length",),
    FirstFrame: ("1L LL: length",),
    FlowControl: ("3F: flow status", "BS", "STmin"),
    ConsecutiveFrame: ("2N: sequence number",),
}


def n_pdus() -> Drawing:
    """The four kinds of N_PDU in frames of 8 bytes, as the engine makes them; control information is framed."""
    cell, height = 52, 84
    drawing = Drawing(20 + 8 * cell + 220, height * len(_SHOWN) + 6, "the four kinds of frame and their bytes")
    for row, (title, n_pdu, control) in enumerate(_SHOWN):
        y = 10 + row * height
        drawing.text(10, y + 12, title, "strong")
        for number, byte in enumerate(n_pdu.encode()):
            x = 10 + number * cell
            drawing.box(x, y + 22, cell - 4, 30, "mark" if number < control else "plain")
            drawing.text(x + (cell - 4) / 2, y + 42, f"{byte:02X}", "middle mark" if number < control else "middle")
        drawing.text(20 + 8 * cell, y + 42, ", ".join(_MEANING[type(n_pdu)]), "soft")
    return drawing
