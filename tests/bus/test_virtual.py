"""VirtualBus, by simulated time."""

import pytest

import isotp
from isotp import Faults, VirtualBus
from isotp.bus.base import Bus
from isotp.can_frame import CanFrame
from isotp.testing import FakeClock


def numbered(count: int) -> list[CanFrame]:
    return [CanFrame(0x100 + i, bytes([i])) for i in range(count)]


def opened(bus: VirtualBus) -> VirtualBus:
    as_any_bus: Bus = bus  # checked by mypy
    as_any_bus.open(lambda: None)
    return bus


def test_a_frame_arrives_the_moment_it_is_sent() -> None:
    bus = opened(VirtualBus())
    frames = numbered(3)
    assert bus.send(frames) == 3
    assert bus.get_timer() is None
    assert bus.receive()[:2] == (frames, frames)
    assert bus.receive()[:2] == ([], [])


def test_frames_wait_for_each_other() -> None:
    clock = FakeClock()
    bus = opened(VirtualBus(frame_ns=100, clock=clock))
    frames = numbered(2)
    bus.send(frames)
    assert bus.receive()[:2] == ([], [])
    assert bus.get_timer() == 100
    clock.sleep(100e-9)
    assert bus.receive()[:2] == (frames[:1], frames[:1])
    assert bus.get_timer() == 200
    clock.sleep(99e-9)
    assert bus.receive()[:2] == ([], [])
    clock.sleep(1e-9)
    assert bus.receive()[:2] == (frames[1:], frames[1:])


def test_a_full_queue_takes_what_it_has_room_for() -> None:
    clock = FakeClock()
    bus = opened(VirtualBus(frame_ns=100, queue_length=2, clock=clock))
    frames = numbered(3)
    assert bus.send(frames) == 2
    assert bus.send(frames[2:]) == 0
    clock.sleep(100e-9)
    assert bus.receive().echoes == frames[:1]
    assert bus.send(frames[2:]) == 1


def test_fate_is_for_receivers_and_the_sender_sees_its_frames_go() -> None:
    clock = FakeClock()
    lost, doubled, late = numbered(3)
    fates = {lost: [], doubled: [(0, doubled), (0, doubled)], late: [(50, late)]}
    bus = opened(VirtualBus(fate=lambda frame: fates[frame], clock=clock))
    bus.send([lost, doubled, late])
    assert bus.receive()[:2] == ([doubled, doubled], [lost, doubled, late])
    assert bus.get_timer() == 50
    clock.sleep(50e-9)
    assert bus.receive()[:2] == ([late], [])


def test_other_nodes_are_heard_and_hear() -> None:
    woken: list[bool] = []
    heard: list[CanFrame] = []
    bus = VirtualBus(fate=Faults(1, loss=1.0))
    bus.open(lambda: woken.append(True))
    stop = bus.listen(heard.append)
    ours, theirs = numbered(2)
    bus.send([ours])
    bus.inject(theirs)
    assert woken == [True]
    assert bus.receive()[:2] == ([theirs], [ours])
    assert heard == [ours, theirs]
    stop()
    bus.send([ours])
    assert len(heard) == 2


def test_what_was_sent_before_close_does_not_arrive_after_it() -> None:
    bus = opened(VirtualBus(frame_ns=1, clock=FakeClock()))
    bus.send(numbered(2))
    bus.close()
    opened(bus)
    assert bus.receive()[:2] == ([], [])
    assert bus.get_timer() is None


def fates(faults: Faults) -> list[list[tuple[int, CanFrame]]]:
    return [faults(CanFrame(1, bytes(8))) for _ in range(400)]


def test_faults_are_those_of_their_seed() -> None:
    def make(seed: int) -> Faults:
        return Faults(seed, loss=0.1, repeat=0.1, corrupt=0.1, jitter_ns=5)

    assert fates(make(7)) == fates(make(7))
    assert fates(make(7)) != fates(make(8))


def test_faults_come_as_often_as_asked() -> None:
    made = fates(Faults(3, loss=0.25, repeat=0.25, corrupt=0.25, jitter_ns=5))
    arrived = [copies for copies in made if copies]
    assert 60 <= 400 - len(arrived) <= 140
    assert 40 <= sum(len(copies) == 2 for copies in arrived) <= 110
    wrong = [copies[0][1].data for copies in arrived if copies[0][1].data != bytes(8)]
    assert 40 <= len(wrong) <= 110
    assert all(int.from_bytes(data, "big").bit_count() == 1 for data in wrong)
    assert {delay for copies in arrived for delay, _ in copies} == set(range(6))


def test_no_faults_unless_asked() -> None:
    assert fates(Faults(1)) == [[(0, CanFrame(1, bytes(8)))]] * 400


@pytest.mark.parametrize("arguments", [{"loss": 1.1}, {"repeat": -0.1}, {"corrupt": float("nan")}, {"jitter_ns": -1}])
def test_faults_that_cannot_be(arguments: dict[str, float]) -> None:
    with pytest.raises(isotp.OptionError, match=next(iter(arguments))):
        Faults(1, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"frame_ns": -1}, {"queue_length": 0}])
def test_buses_that_cannot_be(arguments: dict[str, int]) -> None:
    with pytest.raises(isotp.OptionError, match=next(iter(arguments))):
        VirtualBus(**arguments)  # type: ignore[arg-type]


def test_what_it_tells_of_itself() -> None:
    bus = VirtualBus("bench", can_fd=False)
    assert (bus.name, bus.has_can_fd, bus.fileno(), repr(bus)) == ("bench", False, -1, "<isotp.VirtualBus 'bench'>")


def test_frames_say_when_they_were_sent() -> None:
    clock = FakeClock()
    bus = opened(VirtualBus(clock=clock))
    sent_ns = []
    for _ in range(2):
        sent_ns.append(clock.time_ns())
        bus.send(numbered(1))
        clock.sleep(0.2)
    received = bus.receive()
    assert received.time_ns is not None
    assert [received.time_ns(0), received.time_ns(1)] == sent_ns


def test_frames_on_their_way_say_when_they_arrived() -> None:
    clock = FakeClock()
    bus = opened(VirtualBus(frame_ns=100, clock=clock))
    begin_ns = clock.time_ns()
    bus.send(numbered(2))
    bus.inject(CanFrame(0x200, b""))
    clock.sleep(0.2)
    received = bus.receive()
    assert received.time_ns is not None
    assert [received.time_ns(i) - begin_ns for i in range(len(received.frames))] == [100, 200, 300]


def test_frames_of_one_identifier_are_received_together() -> None:
    bus, clock = VirtualBus(frame_ns=200_000), FakeClock()
    bus.clock = clock  # it takes itself to be in real time, where a wakeup costs something
    opened(bus)
    bus.send([CanFrame(1, b"a"), CanFrame(1, b"b"), CanFrame(1, b"c"), CanFrame(1, b"d"), CanFrame(2, b"e")])
    assert bus.get_timer() == 600_000  # the fourth would make the first one wait too long
    clock.sleep(600e-6)
    received = bus.receive()
    assert len(received.frames) == len(received.echoes) == 3
    assert received.echoed_ns == 600_000
    assert received.time_ns is not None
    times_ns = [received.time_ns(number) for number in range(3)]
    assert [times_ns[2] - each for each in times_ns] == [400_000, 200_000, 0], "each has its own time"
    assert bus.get_timer() == 800_000  # and the fifth is another link's


def test_a_late_copy_keeps_its_time_among_frames_that_are_on_time() -> None:
    clock = FakeClock()
    late, other = CanFrame(1, b"late"), CanFrame(1, b"other")
    bus = opened(VirtualBus(frame_ns=100, fate=lambda frame: [(50 * (frame is late), frame)], clock=clock))
    bus.send([late, other])
    times = []
    while (due_ns := bus.get_timer()) is not None:
        clock.sleep((due_ns - clock()) / 1e9)
        times += [(due_ns, frame.data) for frame in bus.receive().frames]
    assert times == [(150, b"late"), (200, b"other")]
