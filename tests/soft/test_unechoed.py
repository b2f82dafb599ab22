"""Which link an echo confirms."""

import weakref

from isotp.address import Address
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import Event
from isotp.errors import InterfaceError
from isotp.soft.link import Link
from isotp.soft.unechoed import Unechoed


class Nobody:
    def on_event(self, event: Event) -> None:
        pass

    def on_bus_failure(self, error: InterfaceError) -> None:
        pass

    def on_fork(self) -> None:
        pass


NOBODY = Nobody()


def link(address: Address) -> Link:
    return Link(Engine(address), weakref.ref(NOBODY))


ONE = link(Address.extended(rxid=1, txid=2, target_address=1, source_address=1))
TWO = link(Address.extended(rxid=1, txid=2, target_address=2, source_address=2))
FRAMES = [CanFrame(2, bytes([1 + n % 2, 2, n])) for n in range(6)]


def sent() -> Unechoed:
    unechoed = Unechoed()
    ONE.unechoed = TWO.unechoed = 0
    for n, frame in enumerate(FRAMES):
        unechoed.add((ONE, TWO)[n % 2], [frame])
    return unechoed


def test_each_echo_finds_the_link_that_sent_it() -> None:
    unechoed = sent()
    assert [unechoed.take(frame) for frame in FRAMES] == [ONE, TWO] * 3
    assert (ONE.unechoed, TWO.unechoed) == (0, 0)
    assert unechoed.take(FRAMES[0]) is None


def test_a_frame_that_never_got_to_the_wire_is_not_taken_for_sent() -> None:
    unechoed = sent()
    assert unechoed.take(FRAMES[3]) is TWO
    assert (ONE.unechoed, TWO.unechoed) == (1, 1)
    assert unechoed.take(FRAMES[1]) is None
    assert unechoed.take(FRAMES[4]) is ONE


def test_frames_of_others_confirm_nothing() -> None:
    unechoed = sent()
    assert unechoed.take(CanFrame(2, b"other")) is None
    assert unechoed.take(CanFrame(7, b"other")) is None
    assert (ONE.unechoed, TWO.unechoed) == (3, 3)


def test_what_was_given_up_is_not_confirmed_later() -> None:
    unechoed = sent()
    unechoed.forget(ONE, lambda frame: frame != FRAMES[4])
    assert [unechoed.take(frame) for frame in FRAMES] == [None, TWO, None, TWO, ONE, TWO]
    assert (ONE.unechoed, TWO.unechoed) == (0, 0)


def test_echoes_by_the_batch() -> None:
    unechoed = sent()
    stranger = CanFrame(9, b"")
    assert unechoed.take_all([FRAMES[0], stranger, FRAMES[3], FRAMES[4]]) == {ONE: 2, TWO: 1}
    assert (ONE.unechoed, TWO.unechoed) == (0, 1)  # what lay before FRAMES[3] will not come any more
    assert unechoed.take_all([FRAMES[1], FRAMES[5]]) == {TWO: 1}
