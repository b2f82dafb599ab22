"""Faults: which frames they happen to, and what comes of it on each kind of socket; the rest is in tests/kernel."""

import contextlib
import inspect
import io
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

import isotp
from isotp import Faults
from isotp.bus import CanFrame
from isotp.engine import MessageReceived, Params
from isotp.testing.notation import NotationError, format_frame, parse
from isotp.testing.wire import Wire

from ..engine.link import Link as SimulatedLink
from ..engine.link import engine
from ..pages import blocks
from ..waiting import until
from .faulty_links import HOST_KINDS, MESSAGE, ROWS, Row, name_of, open_link, try_row


def arrived(faults: Faults, *texts: str) -> list[str]:
    """What arrives when the frames of `texts` are sent; with the delay in nanoseconds if there is one."""
    copies = [copy for text in texts for copy in faults(parse(text).frame(1))]
    return [format_frame(frame) + (f" +{ns}" if ns else "") for ns, frame in copies]


FC = "001: FC CTS bs=8 stmin=1ms"
FF = "001: FF 20 01 02 03 04 05 06"
CF = [f"001: CF {sn} 07 08 09 0A 0B 0C 0D" for sn in range(1, 6)]


# --- which frames


def test_a_number_counts_the_frames_of_its_kind_and_identifier() -> None:
    faults = Faults().lose("FC", 2)
    assert arrived(faults, FC, FF, CF[0], "002: FC CTS", FC, FC) == [FC, FF, CF[0], "002: FC CTS bs=0 stmin=0", FC]
    assert arrived(faults, "002: FC CTS", "002: FC CTS") == ["002: FC CTS bs=0 stmin=0"]


def test_from_a_number_on() -> None:
    assert arrived(Faults().lose("CF", since=4), *CF, FC) == [*CF[:3], FC]


@pytest.mark.parametrize(
    ("what", "lost"),
    [
        ("..", ["001: FC WAIT bs=0 stmin=0", "002: FC CTS bs=0 stmin=0"]),
        ("FC", ["001: FC WAIT bs=0 stmin=0", "002: FC CTS bs=0 stmin=0"]),
        ("002: FC", ["002: FC CTS bs=0 stmin=0"]),
        ("FC WAIT ..", ["001: FC WAIT bs=0 stmin=0"]),
        ("002: ..", ["002: FC CTS bs=0 stmin=0"]),
        ("003: FC", []),
        ("SF", []),
    ],
)
def test_which_frames(what: str, lost: list[str]) -> None:
    faults = Faults().lose(what)
    arrived(faults, "001: FC WAIT", "002: FC CTS")
    assert [format_frame(fault.frame) for fault in faults.done] == lost


def test_with_address_bytes() -> None:
    extended = parse("001/30: CF 1 AA").frame()  # its first byte looks like that of a flow control
    assert Faults(address_size=1).lose("FC")(extended) == [(0, extended)]
    assert Faults(address_size=1).lose("CF")(extended) == []
    assert Faults().lose("001/30: CF")(extended) == []
    for faults in (
        Faults(address_size=1).replace(by="CF 2 BB"),
        Faults().replace("001/30: CF", by="CF 2 BB"),
        Faults().replace(by="001/30: CF 2 BB"),
    ):
        assert faults(extended) == [(0, CanFrame(1, b"\x30\x22\xbb"))]
    fc = parse("001/30: FC CTS bs=8 stmin=1ms").frame()
    for faults in (Faults().replace("001/30: FC", by="FC 3 .."), Faults().replace(by="001/30: FC 3 ..")):
        assert faults(fc) == [(0, parse("001/30: FC 3 bs=8 stmin=1ms").frame())]
    assert Faults().insert("001/30: CF", frames="SF 01")(extended)[0] == (0, CanFrame(1, b"\x30\x01\x01"))


def test_empty_frames_are_of_no_kind() -> None:
    empty = CanFrame(1, b"")
    assert Faults().lose("SF").corrupt()(empty) == [(0, empty)]


# --- chance


def lost_by_chance(faults: Faults, *can_ids: int) -> list[int]:
    return [n for n, can_id in enumerate(can_ids) if not faults(CanFrame(can_id, b"\x21"))]


def test_chance_is_that_of_the_seed_and_of_each_identifier() -> None:
    alone = lost_by_chance(Faults(5).lose("CF", chance=0.3), *[1] * 300)
    assert 50 < len(alone) < 130
    assert alone == lost_by_chance(Faults(5).lose("CF", chance=0.3), *[1] * 300)
    assert alone != lost_by_chance(Faults(6).lose("CF", chance=0.3), *[1] * 300)
    mixed = Faults(5).lose("CF", chance=0.3)
    lost_by_chance(mixed, *[2] * 10)
    assert alone == lost_by_chance(mixed, *[1] * 300), "other identifiers change nothing"
    more = Faults(5).lose("CF", chance=0.3).corrupt(chance=0.5)
    assert alone == lost_by_chance(more, *[1] * 300), "another fault changes nothing"


# --- what happens


@pytest.mark.parametrize(
    ("faults", "wanted"),
    [
        (Faults().double("FC"), [FC, FC]),
        (Faults().double("FC").double("FC", 1), [FC] * 4),
        (Faults().delay("FC", seconds=0.5), [FC + " +500000000"]),
        (Faults().cut("FC", length=2), ["001: 30 08"]),
        (Faults().replace("FC", by="FC OVFLW"), ["001: FC OVFLW bs=0 stmin=0"]),
        (Faults().replace("FC", by="FC 3 .."), ["001: FC 3 bs=8 stmin=1ms"]),
        (Faults().replace("FC", by="FC CTS stmin=0 .."), ["001: FC CTS bs=8 stmin=0"]),
        (Faults().cut("FC", length=1).replace("FC", by="FC 3 .."), ["001: FC 3 bs=0 stmin=0"]),
        (Faults().replace("FC", by=["FC WAIT ..", "7E8: FC CTS"], seconds=1e-6),
         ["001: FC WAIT bs=8 stmin=1ms", "7E8: FC CTS bs=0 stmin=0 +1000"]),
        (Faults().insert("FC", frames=["SF 01", "SF 02"]), ["001: SF 01", "001: SF 02", FC]),
        (Faults().insert("FC", frames="30 00"), ["001: 30 00", FC]),
        (Faults().lose("FC").double("FC"), []),
    ],
)  # fmt: skip
def test_what_happens(faults: Faults, wanted: list[str]) -> None:
    assert arrived(faults, FC) == wanted
    assert len(faults.done) >= 1


def test_the_rest_of_a_frame_stays() -> None:
    assert arrived(Faults().replace("CF", 2, by="CF 9 .."), *CF[:2]) == [CF[0], CF[1].replace("CF 2", "CF 9")]


def test_frames_change_places_with_the_next_one_of_their_identifier() -> None:
    faults = Faults().swap("CF", 2)
    assert arrived(faults, CF[0], CF[1], "002: FC CTS", CF[2], CF[3]) == [
        CF[0],
        "002: FC CTS bs=0 stmin=0",
        CF[2],
        CF[1],
        CF[3],
    ]


def test_jitter_has_a_limit() -> None:
    delays = {ns for _ in range(200) for ns, _ in Faults(_).jitter(seconds=5e-9)(CanFrame(1, b"x"))}
    assert delays == set(range(6))


def test_one_bit_is_wrong() -> None:
    for seed in range(50):
        ((_, frame),) = Faults(seed).corrupt()(CanFrame(1, bytes(8)))
        assert int.from_bytes(frame.data, "big").bit_count() == 1


def test_what_happened_can_be_read() -> None:
    faults = Faults().lose("FC", 1).replace("7E0: CF", by=["CF 1 .."] * 9, since=2, seconds=0.01)
    arrived(faults, FC, FC, "7E0: CF 1 AA", "7E0: CF 2 BB")
    assert [str(fault) for fault in faults.done] == [
        "lose('FC', 1): 001: FC CTS bs=8 stmin=1ms -> nothing",
        "replace('7E0: CF', since=2): 7E0: CF 2 BB -> 7E0: CF 1 BB, 7E0: CF 1 BB after 10 ms, "
        "7E0: CF 1 BB after 20 ms, 7E0: CF 1 BB after 30 ms, and 5 more",
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Faults().lose("FC", 0),
        lambda: Faults().lose("FC", since=0),
        lambda: Faults().lose("FC", 1, since=2),
        lambda: Faults().lose("FC", chance=1.1),
        lambda: Faults().delay("FC", seconds=-1),
        lambda: Faults().jitter("FC", seconds=float("nan")),
        lambda: Faults().cut("FC", length=-1),
    ],
)
def test_what_cannot_be_asked_for(make: Any) -> None:
    with pytest.raises(isotp.OptionError, match="allowed is"):
        make()


METHODS: dict[str, dict[str, Any]] = {
    "lose": {},
    "double": {},
    "swap": {},
    "corrupt": {},
    "delay": {"seconds": 1.0},
    "jitter": {"seconds": 1.0},
    "cut": {"length": 1},
    "replace": {"by": "FC CTS"},
    "insert": {"frames": "SF 01"},
}


@pytest.mark.parametrize("method", METHODS)
def test_a_misspelt_argument_is_an_error(method: str) -> None:
    add = getattr(Faults(), method)
    assert {"since", "chance"} <= set(inspect.signature(add).parameters)
    add("FC", since=2, chance=0.5, **METHODS[method])
    with pytest.raises(TypeError):
        add("FC", sinse=2, **METHODS[method])


@pytest.mark.parametrize("wrong", ["FC", Faults, {"FC": 1}])
def test_what_is_no_fate(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"allowed is Faults\(\.\.\.\)"):
        isotp.VirtualBus(fate=wrong)
    with pytest.raises(TypeError, match=r"allowed is Faults\(\.\.\.\)"):
        Wire(isotp.VirtualBus(), isotp.VirtualBus(), wrong)


def test_a_clock_that_is_none() -> None:
    with pytest.raises(TypeError, match="clock=1: allowed is a function that returns nanoseconds"):
        isotp.VirtualBus(clock=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Faults().lose("FX"),
        lambda: Faults().lose("nothing: FC"),
        lambda: Faults().replace("FC", by="FC PERHAPS"),
        lambda: Faults().replace("FC", by="FC ?? .."),
        lambda: Faults().insert("FC", frames=["SF ??"]),
    ],
)
def test_texts_are_checked_at_once(make: Any) -> None:
    with pytest.raises(NotationError):
        make()


# --- buses


def frame_of(text: str) -> CanFrame:
    return parse(text).frame()


def send_on(bus: isotp.VirtualBus, *texts: str) -> list[str]:
    """What arrives at a node of `bus` when its sockets send the frames of `texts`."""
    bus.send([frame_of(text) for text in texts])
    return [format_frame(frame) for frame in bus.receive().frames]


def test_each_bus_begins_anew() -> None:
    faults = Faults(seed=3).lose("FC", 2).swap("CF", 1).corrupt("SF", chance=0.5)
    texts = [FC, FC, CF[0], *["001: SF 01 02 03"] * 20]
    one, other = isotp.VirtualBus(fate=faults), isotp.VirtualBus(fate=faults)
    arrived_at_one = send_on(one, *texts)
    assert arrived_at_one.count(FC) == 1
    assert send_on(other, *texts) == arrived_at_one
    assert send_on(one, FC) == [FC], "the other bus changes nothing"


def test_what_happened_is_that_of_the_latest_bus() -> None:
    faults = Faults().lose("FC", 1)
    send_on(isotp.VirtualBus(fate=faults), FC)
    assert len(faults.done) == 1
    bus = isotp.VirtualBus(fate=faults)
    assert faults.done == []
    send_on(bus, FC, FC)
    assert [str(fault) for fault in faults.done] == ["lose('FC', 1): 001: FC CTS bs=8 stmin=1ms -> nothing"]


def test_a_fault_that_is_added_to_a_bus_counts_from_then_on() -> None:
    faults = Faults()
    bus = isotp.VirtualBus(fate=faults)
    assert send_on(bus, FC) == [FC]
    faults.lose("FC", 2)
    assert send_on(bus, FC, FC, FC) == [FC, FC]


def test_it_shows_its_faults() -> None:
    assert repr(Faults()) == "Faults()"
    assert repr(Faults(7, loss=0.5).lose("FC", 3).cut("7E0: CF", length=2, since=5)) == (
        "Faults(seed=7).lose('..', chance=0.5).lose('FC', 3).cut('7E0: CF', since=5, length=2)"
    )
    assert repr(Faults(address_size=1).replace("FC", by=["FC WAIT", "FC CTS"], seconds=0.1)) == (
        "Faults(address_size=1).replace('FC', by=['FC WAIT', 'FC CTS'], seconds=0.1)"
    )


# --- what comes of it


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("kind", HOST_KINDS)
def test_what_comes_of_it(request: pytest.FixtureRequest, kind: str, row: Row) -> None:
    with ExitStack() as end:
        try_row(end, kind, row, name_of(request, kind))


@pytest.mark.parametrize(
    ("forced_ns", "faults", "keeps"),
    [(None, Faults(), True), (0, Faults(), False), (None, Faults().replace("FC", by="FC CTS stmin=0"), False)],
)
def test_senders_that_undercut_stmin(forced_ns: int | None, faults: Faults, keeps: bool) -> None:
    a, b = engine(Params(forced_tx_stmin_ns=forced_ns), rxid=2, txid=1), engine(Params(stmin=50), rxid=1, txid=2)
    link = SimulatedLink(a, b, faults)
    a.send(MESSAGE, 0)
    link.run()
    assert link.of(b)[-1] == MessageReceived(MESSAGE)
    times = [ns for ns, frame in link.frames if frame.data[0] >> 4 == 2]
    assert len(times) == 14
    assert all(after - before >= 50_000_000 for before, after in pairwise(times)) == keeps


@pytest.mark.parametrize("kind", HOST_KINDS)
def test_a_message_given_up_for_another_reason(request: pytest.FixtureRequest, kind: str) -> None:
    faults = Faults().replace("FC", by=["FC WAIT"] * 100, seconds=0.1)
    with ExitStack() as end:
        link = open_link(end, kind, faults, name_of(request, kind), wftmax=100)
        link.a.send(MESSAGE, confirm=False)
        until(lambda: faults.done)
        with pytest.warns(isotp.UnconfirmedSendWarning, match="N_ERROR"):
            link.a.close()


def test_each_result_of_the_standard_is_in_the_page() -> None:
    page = {result for row in ROWS for result in row.engine}
    assert {result.name for result in isotp.N_Result} == (page & set(isotp.N_Result.__members__)) | {
        "N_TIMEOUT_A",  # test_outages.py
        "N_ERROR",  # the test above
    }


def test_the_python_of_the_page() -> None:
    block = next(block for block in blocks("docs/faults.md", "python") if not block.mark)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(block.code, {})
    comments = [line.partition("  # ")[2] for line in block.code.splitlines() if "  # " in line]
    assert [line for line in out.getvalue().splitlines() if not line.startswith("  ")] == comments
