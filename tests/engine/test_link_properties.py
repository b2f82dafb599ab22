"""Any message, any parameters, any addressing, over a link that does what a link can do to frames."""

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from isotp.address import Address
from isotp.can_frame import TX_DLS, CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import Direction, MessageReceived, MessageSent, TransferFailed
from isotp.engine.n_pdu import NPciType
from isotp.engine.params import Params
from isotp.errors import N_Result
from isotp.stmin import STmin

from .link import MS, SECOND, Link, intact

ADDRESSES = [
    (Address.normal(rxid=0x123, txid=0x456), Address.normal(rxid=0x456, txid=0x123)),
    (Address.normal(rxid=0x12345, txid=0x45678), Address.normal(rxid=0x45678, txid=0x12345)),
    (
        Address.normal_fixed(target_address=1, source_address=2),
        Address.normal_fixed(target_address=2, source_address=1),
    ),
    (
        Address.extended(rxid=1, txid=2, target_address=3, source_address=4),
        Address.extended(rxid=2, txid=1, target_address=4, source_address=3),
    ),
    (
        Address.extended(rxid=0x10001, txid=0x10002, target_address=0x20, source_address=0x30),
        Address.extended(rxid=0x10002, txid=0x10001, target_address=0x30, source_address=0x20),
    ),
    (
        Address.mixed_11bits(rxid=1, txid=2, address_extension=0x21),
        Address.mixed_11bits(rxid=2, txid=1, address_extension=0x21),
    ),
    (
        Address.mixed_29bits(target_address=1, source_address=2, address_extension=0),
        Address.mixed_29bits(target_address=2, source_address=1, address_extension=0),
    ),
]
FRAME_NS = MS // 4


class Scene(NamedTuple):
    """What a link is made of."""

    link: Link
    one: Engine
    two: Engine
    data: bytes


@st.composite
def scenes(draw: st.DrawFn, longest: int) -> Scene:
    can_fd = draw(st.booleans())
    tx_padding = draw(st.sampled_from([None, 0x00, 0xAA]))
    pads_all = draw(st.booleans())

    def params() -> Params:
        tx_dl = draw(st.sampled_from(TX_DLS)) if can_fd else 8
        return Params(
            can_fd=can_fd,
            tx_dl=tx_dl,
            tx_min_dl=tx_dl if pads_all else None,
            bitrate_switch=can_fd and draw(st.booleans()),
            tx_padding=tx_padding,
            rx_padding=tx_padding,
            check_padding_length=not pads_all and draw(st.booleans()),
            check_padding_content=tx_padding is not None and draw(st.booleans()),
            bs=draw(st.sampled_from([0, 0, 1, 2, 7, 255])),
            stmin=draw(st.sampled_from([0, 0, 1, 0xF1, 0xF9, 127, 0x80])),
            forced_tx_stmin_ns=draw(st.sampled_from([None, None, 0, 2 * MS])),
            dynamic_flow_control=draw(st.booleans()),
            half_duplex=draw(st.booleans()),
            progress_step=draw(st.sampled_from([0, 1, 20, 1000])),
        )

    one, two = (Engine(address, params()) for address in draw(st.sampled_from(ADDRESSES)))
    link = Link(one, two, frame_ns=FRAME_NS, echo=draw(st.booleans()), room=draw(st.sampled_from([1, 2, 10, 1024])))
    longest = draw(st.sampled_from([7, 64, longest]))
    length, seed = draw(st.integers(1, longest)), draw(st.integers(0, 255))
    return Scene(link, one, two, bytes((i * 11 + (i >> 8) + seed) & 0xFF for i in range(length)))


def check_separation(scene: Scene) -> None:
    """STmin and BS are kept by the frames on the bus."""
    one, two = scene.one.params, scene.two.params
    gap_ns = STmin(two.stmin).ns if one.forced_tx_stmin_ns is None else one.forced_tx_stmin_ns
    pci_at = 0 if scene.one.address.tx is None or scene.one.address.tx.address_byte is None else 1
    last, in_block = None, 0
    for now, frame in scene.link.frames:
        if frame.data[pci_at] >> 4 == NPciType.CF:
            assert last is None or now - last >= gap_ns
            last, in_block = now, in_block + 1
            assert in_block <= (two.bs or in_block)
        else:
            last, in_block = None, 0


def converse(scene: Scene) -> None:
    """Both ends are idle, and a message goes through in each direction."""
    link = scene.link
    link.fate = intact
    for sender, receiver in ((scene.one, scene.two), (scene.two, scene.one)):
        assert not sender.is_sending
        assert not sender.is_receiving
        assert sender.get_timer() is None
        before = len(link.events[sender]), len(link.events[receiver])
        sender.send(b"and now for something completely different", link.now)
        link.run()
        assert MessageSent(42) in link.of(sender)[before[0] :]
        assert link.of(receiver)[-1] == MessageReceived(b"and now for something completely different")


@given(scenes(longest=4200))
def test_a_link_without_faults(scene: Scene) -> None:
    link, one, two, data = scene
    one.send(data, 0)
    link.run()
    assert link.of(one)[-1] == MessageSent(len(data))
    assert link.of(two)[-1] == MessageReceived(data)
    assert not [event for end in (one, two) for event in link.of(end) if isinstance(event, TransferFailed)]
    check_separation(scene)
    converse(scene)


WHICH = st.one_of(st.integers(1, 5), st.integers(1, 45))  # the first frame on the bus is 1

# What happens to one frame: how much later each copy arrives, and how many bytes are left of it. Delays are
# short or very long: a consecutive frame exactly 16 late, in place of one that is lost, is beyond any ISO-TP.
FATES = st.sampled_from(
    [
        [],
        [],
        [(0, 64), (0, 64)],
        [(0, 64), (MS, 64)],
        [(MS, 64)],
        [(3 * MS, 64)],
        [(2200 * MS, 64)],
        [(0, 64), (2200 * MS, 64)],
        [(0, 7)],
        [(0, 2)],
        [(0, 0)],
        [(0, 3), (MS, 64)],
    ]
)


@given(scenes(longest=300), st.dictionaries(WHICH, FATES, max_size=5), st.integers(0, 3 * SECOND))
def test_a_link_with_faults(scene: Scene, fates: dict[int, list[tuple[int, int]]], busy_ns: int) -> None:
    link, one, two, data = scene

    def fate(frame: CanFrame) -> Iterable[tuple[int, CanFrame]]:
        for later, left in fates.get(len(link.frames), [(0, 64)]):
            yield later, frame._replace(data=frame.data[:left])

    link.fate = fate
    if busy_ns > SECOND:
        two.set_ready(False, 0)
        link.at(busy_ns - SECOND, lambda: two.set_ready(True, link.now))
    one.send(data, 0)
    link.run()

    received = [event for event in link.of(two) if isinstance(event, MessageReceived)]
    assert all(event.data == data for event in received)
    outcome = [event for event in link.of(one) if isinstance(event, (MessageSent, TransferFailed))]
    assert len(outcome) == 1
    both = link.events[one] + link.events[two]
    failures = [(now, event) for now, event in both if isinstance(event, TransferFailed)]
    single = len(link.frames) == 1
    assert received or failures or single  # nobody answers to a single frame, so nobody misses it
    for now, event in failures:
        assert event.n_result is not N_Result.N_OK
        assert event.frames
        assert event.done <= event.total
        assert now - max(then for then in link.activity if then <= now) <= SECOND
    converse(scene)


NOISE = st.one_of(
    st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just(0), st.sampled_from([b"\x10\x64", b"\x30\x00\x00", b"\x32", b"\x21", b"\x05"])),
)


@given(scenes(longest=300), st.dictionaries(WHICH, NOISE, max_size=5))
def test_a_link_that_garbles(scene: Scene, noise: dict[int, tuple[int, bytes]]) -> None:
    link, one = scene.link, scene.one

    def fate(frame: CanFrame) -> Iterable[tuple[int, CanFrame]]:
        at, put = noise.get(len(link.frames), (0, b""))
        yield 0, frame._replace(data=(frame.data[:at] + put + frame.data[at + len(put) :])[:64])

    link.fate = fate
    one.send(scene.data, 0)
    link.run()
    outcome = [
        event
        for event in link.of(one)
        if isinstance(event, MessageSent)
        or (isinstance(event, TransferFailed) and event.direction is Direction.SENDING)
    ]
    assert len(outcome) == 1
    converse(scene)
