"""RawCanSocket against a socket that notes what it is told; against the kernel in tests/kernel/test_raw_can.py."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, cast

import pytest

import isotp
from isotp import CAN_EFF_FLAG
from isotp.can_frame import CanFrame
from isotp.linux import batches, interface, raw_can
from isotp.linux.interface import CanInterface
from isotp.linux.raw_can import ANY, RawCanSocket

TIME = (1, 35, struct.pack("@ll", 7, 9))
TIME_NS = 7_000_000_009
CONFIRM = 0x800  # MSG_CONFIRM
ALL = struct.pack("=2I", 0, 0x40000000)  # all but remote frames


class Native:
    """A raw socket: what it was told, and what it will say."""

    def __init__(self) -> None:
        self.options: dict[tuple[int, int], Any] = {}
        self.bound: tuple[str] | None = None
        self.sent: list[bytes] = []
        self.room = 100
        self.arriving: list[Any] = []
        self.closed = False

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if option == 33:
            raise PermissionError
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int) -> int:
        return 2 * int(self.options[level, option])

    def bind(self, address: tuple[str]) -> None:
        self.bound = address

    def close(self) -> None:
        self.closed = True


class FakeInlet:
    """An `Inlet`: the frames of `Native.arriving`."""

    def __init__(self, native: Native, count: int, size: int, control_size: int, name_size: int) -> None:
        assert (size, control_size, name_size) == (72, 64, 24 if native.bound == ("",) else 0)
        self._native, self._count = native, count
        self._batch: list[Any] = []

    def receive(self, limit: int) -> int:
        self._batch, arriving = [], self._native.arriving
        while arriving and len(self._batch) < min(limit, self._count):
            if isinstance(arriving[0], OSError):
                if not self._batch:
                    raise arriving.pop(0)
                break
            self._batch.append(arriving.pop(0))
        return len(self._batch)

    def rows(self, layout: struct.Struct, count: int) -> Iterator[Any]:
        return layout.iter_unpack(b"".join(data.ljust(72, b"\xee") for data, _, _, _ in self._batch[:count]))

    def lengths(self, count: int) -> list[int]:
        return [len(data) for data, _, _, _ in self._batch[:count]]

    def flags(self, count: int) -> list[int]:
        return [flags for _, _, flags, _ in self._batch[:count]]

    def control(self, index: int) -> Any:
        return self._batch[index][1]

    def name(self, index: int) -> bytes:
        number: int = self._batch[index][3]
        return struct.pack("=H2xi16x", 29, number)


class FakeOutlet:
    """An `Outlet`: what it sends is in `Native.sent`."""

    def __init__(self, native: Native, count: int, size: int) -> None:
        self._native, self._count, self.size = native, count, size

    def send(self, joined: bytes) -> int:
        frames = [joined[at : at + self.size] for at in range(0, len(joined), self.size)]
        assert b"".join(frames) == joined
        frames = frames[: min(self._count, self._native.room - len(self._native.sent))]
        if not frames:
            raise OSError(errno.ENOBUFS, "full")
        self._native.sent += frames
        return len(frames)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Native:
    native = Native()

    def make(*kind: int) -> Native:
        assert kind == (29, socket.SOCK_RAW, 1)
        return native

    monkeypatch.setattr(socket, "socket", make)
    monkeypatch.setattr(batches, "Inlet", FakeInlet)
    monkeypatch.setattr(batches, "Outlet", FakeOutlet)
    monkeypatch.setattr(socket, "if_indextoname", {1: "can0", 2: "can1"}.__getitem__)
    monkeypatch.setattr(raw_can, "usable", lambda _, name: CanInterface(name, True, True, 72))
    monkeypatch.setattr(raw_can, "is_removed", lambda name: False)
    return native


@pytest.fixture
def raw(native: Native) -> Iterator[RawCanSocket]:
    assert not native.closed
    with RawCanSocket("can0") as raw:
        yield raw
    assert native.closed


def classical(can_id: int, data: bytes, flags: int = 0, control: Any = (TIME,)) -> Any:
    return struct.pack("=IBB2x8s", can_id, len(data), 0, data), list(control), flags, 1


def test_what_the_kernel_is_told(native: Native) -> None:
    RawCanSocket("can0", can_ids=[0x123, 0x18DAF110 | CAN_EFF_FLAG], own_frames=True, rcvbuf=1000)
    assert native.bound == ("can0",)
    assert native.options == {
        (101, 1): struct.pack("=4I", 0x123, 0xC00007FF, 0x98DAF110, 0xDFFFFFFF),  # CAN_RAW_FILTER, never RTR
        (101, 4): True,  # CAN_RAW_RECV_OWN_MSGS
        (101, 5): 1,  # CAN_RAW_FD_FRAMES
        (1, 35): 1,  # SO_TIMESTAMPNS
        (1, 40): 1,  # SO_RXQ_OVFL
        (1, socket.SO_RCVBUF): 1000,  # for want of the right to SO_RCVBUFFORCE
    }


@pytest.mark.parametrize(("can_ids", "filters"), [(None, ALL), ([], b""), (range(513), ALL)])
def test_filters(native: Native, can_ids: Any, filters: bytes) -> None:
    raw = RawCanSocket(ANY, can_ids=can_ids)
    assert native.bound == ("",)
    assert native.options[101, 1] == filters
    raw.receive_only([1])
    assert native.options[101, 1] == struct.pack("=2I", 1, 0xC00007FF)


def test_frames_received(native: Native) -> None:
    raw = RawCanSocket(ANY)
    fd = struct.pack("=IBB2x64s", 0x18DAF110 | CAN_EFF_FLAG, 12, 0x05, bytes(range(12)))
    native.arriving = [
        classical(0x123, b"abc"),
        (fd, [TIME], CONFIRM, 2),
        classical(0x456, b"", control=(TIME, (1, 40, struct.pack("=I", 70_000)))),
    ]
    assert raw.receive() == [
        (CanFrame(0x123, b"abc"), TIME_NS, "can0", False),
        (CanFrame(0x18DAF110 | CAN_EFF_FLAG, bytes(range(12)), True, True), TIME_NS, "can1", True),
        (CanFrame(0x456, b""), TIME_NS, "can0", False),
    ]
    assert raw.dropped == 70_000
    assert raw.receive() == []


def test_own_frames(raw: RawCanSocket, native: Native) -> None:
    later = (1, 35, struct.pack("@ll", 8, 0))
    native.arriving = [classical(1, b"a", CONFIRM), classical(2, b"b", CONFIRM, [later]), classical(3, b"c")]
    frames = [CanFrame(1, b"a"), CanFrame(2, b"b"), CanFrame(3, b"c")]
    assert raw.receive_own() == (frames, frames[:2], 8_000_000_000)
    native.arriving = [classical(3, b"c")]
    assert raw.receive_own() == (frames[2:], [], None)
    assert raw.receive_own() == ([], [], None)


def test_a_batch_has_a_limit(raw: RawCanSocket, native: Native) -> None:
    native.arriving = [classical(n, b"") for n in range(5)]
    assert [len(raw.receive(2)) for _ in range(4)] == [2, 2, 1, 0]


def test_an_error_comes_after_the_frames_before_it(raw: RawCanSocket, native: Native) -> None:
    native.arriving = [classical(1, b""), OSError(errno.ENETDOWN, "down"), classical(2, b"")]
    assert len(raw.receive()) == 1
    with pytest.raises(isotp.InterfaceDownError, match="can0 is down"):
        raw.receive()
    assert len(raw.receive()) == 1


def test_frames_sent(raw: RawCanSocket, native: Native) -> None:
    native.room = 3
    frames = [CanFrame(0x123, b"abc"), CanFrame(5, bytes(12), True), CanFrame(6, b"", True, True), CanFrame(7, b"")]
    assert raw.send(frames) == 3
    assert native.sent == [
        struct.pack("=IBBBB8s", 0x123, 3, 0, 0, 0, b"abc"),
        struct.pack("=IBBBB64s", 5, 12, 0, 0, 0, b""),
        struct.pack("=IBBBB64s", 6, 0, 1, 0, 0, b""),
    ]


def test_more_frames_than_a_batch(raw: RawCanSocket, native: Native) -> None:
    native.room = 200
    frames = [CanFrame(n, bytes((n,))) for n in range(150)]
    assert raw.send(frames) == 150
    assert native.sent == [struct.pack("=IB3x8s", n, 1, bytes((n,))) for n in range(150)]


@pytest.mark.parametrize(
    ("number", "present", "error"),
    [
        (errno.ENETDOWN, ["can0"], isotp.InterfaceDownError),
        (errno.ENETDOWN, [], isotp.InterfaceNotFoundError),
        (errno.ENODEV, ["can0"], isotp.InterfaceNotFoundError),
        (errno.ENXIO, ["can0"], isotp.InterfaceNotFoundError),
        (errno.EINVAL, ["can0"], isotp.InterfaceError),
        (errno.EBADF, ["can0"], isotp.SocketClosedError),
    ],
)
def test_errors(
    raw: RawCanSocket,
    native: Native,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    present: list[str],
    error: type[OSError],
) -> None:
    monkeypatch.setattr(raw_can, "is_removed", lambda name: name not in present)
    native.arriving = [OSError(number, os.strerror(number))]
    with pytest.raises(error) as caught:
        raw.receive()
    assert type(caught.value) is error


def test_no_raw_sockets_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(
        isotp.UnavailableError, match=r"no raw CAN sockets: Address family.*\n.*modprobe can-raw.*isotp-kernel"
    ):
        RawCanSocket("can0")


def test_an_interface_that_will_not_do(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise isotp.InterfaceDownError("can0 is down")

    monkeypatch.setattr(raw_can, "usable", refuse)
    with pytest.raises(isotp.InterfaceDownError):
        RawCanSocket("can0")
    assert native.closed


def test_an_interface_that_goes_down_just_before_it_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a moment it is still listed."""
    listed = iter([["can0"], ["can0"], ["can1"]])
    monkeypatch.setattr(interface, "names", lambda: next(listed))
    assert interface.is_removed("can0")
    monkeypatch.setattr(interface, "names", lambda: ["can0"])
    assert not interface.is_removed("can0")


def test_an_interface_that_is_removed_while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(_: object, name: str) -> CanInterface:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(interface, "names", lambda: ["can0"])
    monkeypatch.setattr(interface, "query", query)
    with pytest.raises(isotp.InterfaceNotFoundError, match="no interface 'can0'"):
        interface.usable(cast(socket.socket, None), "can0")
