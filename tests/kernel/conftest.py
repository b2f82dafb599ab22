"""What the tests against a real kernel share: private buses, a raw peer, closed sockets."""

import contextlib
import fcntl
import functools
import itertools
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

import pytest

import isotp

from ..conformance.blocking import LoopThread, blocking
from ..waiting import until
from .processes import Programs
from .random_links import SEED

HERE: Final = Path(__file__).parent

T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("kernel")
            if not item.name.startswith("test_no_interrupt_"):  # one may come between a descriptor and its owner
                item.add_marker("isotp_leaks")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"ISOTP_TEST_SEED={SEED}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    need_kernel()


def skip_or_fail(reason: str, variable: str) -> NoReturn:
    """Skip the test; fail it where `variable` in the environment says that what is missing has to be there."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1 is set, and {reason}", pytrace=False)
    pytest.skip(reason)


def need_kernel() -> None:
    """Skip the test where there is no kernel with ISO-TP; fail it if there has to be one."""
    if reason := _missing():
        skip_or_fail(reason, "ISOTP_REQUIRE_KERNEL")


@functools.cache
def _missing() -> str | None:
    try:
        isotp.socket().close()
        probe = _new_name()
        _add_link(probe, None)
        _delete_link(probe)
    except isotp.UnavailableError as e:
        return f"there is no ISO-TP: {e.what} (to do: tools/kernel-run)"
    except OSError as e:
        return f"a virtual CAN interface cannot be made: {e} (to do: tools/kernel-run)"
    return None


# --- virtual CAN interfaces, made through netlink: `ip` takes longer to start than most tests to run

_RTM_NEWLINK: Final = 16
_RTM_DELLINK: Final = 17
_RTM_NEWQDISC: Final = 36
_NLM_F_REQUEST_ACK: Final = 0x1 | 0x4
_NLM_F_CREATE_EXCL: Final = 0x400 | 0x200
_NLM_F_CREATE_REPLACE: Final = 0x400 | 0x100
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_LINKINFO: Final = 18
_IFLA_INFO_KIND: Final = 1
_TCA_KIND: Final = 1
_TCA_OPTIONS: Final = 2
_TC_H_ROOT: Final = 0xFFFFFFFF
_IFF_UP: Final = 1
_SIOCSIFFLAGS: Final = 0x8914

_numbers: Final = itertools.count()


def _new_name() -> str:
    return f"vt{os.getpid()}n{next(_numbers)}"


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _rtnetlink(message: int, how: int, body: bytes) -> None:
    """One request to the kernel; OSError if it refuses."""
    header = struct.pack("=IHHII", 16 + len(body), message, _NLM_F_REQUEST_ACK | how, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.sendto(header + body, (0, 0))
        (error,) = struct.unpack_from("=i", netlink.recv(65536), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def _add_link(name: str, mtu: int | None) -> None:
    attributes = _attribute(_IFLA_IFNAME, name.encode() + b"\0")
    if mtu is not None:
        attributes += _attribute(_IFLA_MTU, struct.pack("=I", mtu))
    attributes += _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"vcan\0"))
    _rtnetlink(_RTM_NEWLINK, _NLM_F_CREATE_EXCL, struct.pack("=BxHiII", 0, 0, 0, _IFF_UP, _IFF_UP) + attributes)


def _delete_link(name: str) -> None:
    _rtnetlink(_RTM_DELLINK, 0, bytes(16) + _attribute(_IFLA_IFNAME, name.encode() + b"\0"))


class Link(str):
    """The name of a virtual CAN interface of this test alone."""

    __slots__ = ()

    def up(self) -> None:
        """Bring it up."""
        self._set_flags(_IFF_UP)

    def down(self) -> None:
        """Bring it down."""
        self._set_flags(0)

    def delete(self) -> None:
        """Remove it."""
        _delete_link(self)

    def queue(self, kind: str, options: bytes = b"") -> None:
        """Put a queue between the kernel and it; OSError (ENOENT) if this kernel has no queue of that kind."""
        body = struct.pack("=BxxxiIII", 0, socket.if_nametoindex(self), 0, _TC_H_ROOT, 0)
        body += _attribute(_TCA_KIND, kind.encode() + b"\0") + _attribute(_TCA_OPTIONS, options)
        _rtnetlink(_RTM_NEWQDISC, _NLM_F_CREATE_REPLACE, body)

    def take_no_frame(self) -> None:
        """From now on refuse every frame: ENOBUFS."""
        self.queue("bfifo", struct.pack("=I", 1))  # one byte

    def lose_every_frame(self) -> None:
        """From now on take every frame and drop it without a word."""
        limit_of_fq_codel = 2
        self.queue("fq_codel", _attribute(limit_of_fq_codel, struct.pack("=I", 0)))

    def take_frames_again(self) -> None:
        """Undo any of these."""
        self.queue("pfifo", struct.pack("=I", 1000))

    def _set_flags(self, value: int) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", self.encode(), value))


class Links:
    """Makes interfaces and removes them at the end."""

    def __init__(self) -> None:
        self._made: list[Link] = []

    def __call__(self, mtu: int | None = None) -> Link:
        """A new interface that is up; `mtu`: 16 for Classical CAN, 72 for CAN FD, None for the kernel's default."""
        link = Link(_new_name())
        _add_link(link, mtu)
        self._made.append(link)
        return link

    def close(self) -> None:
        present = {name for _, name in socket.if_nameindex()}
        for link in self._made:
            if link in present:
                link.delete()


@pytest.fixture
def new_link() -> Iterator[Links]:
    """`new_link(mtu=...)` makes a private virtual CAN interface."""
    with contextlib.closing(Links()) as links:
        yield links


@pytest.fixture
def vcan(new_link: Links) -> Link:
    """A private virtual CAN interface that takes Classical CAN and CAN FD."""
    return new_link()


# --- the bus as it is


class Frame(NamedTuple):
    """A CAN frame as a raw socket sees it."""

    can_id: int
    """With CAN_EFF_FLAG for 29 bits."""
    data: bytes
    fd: bool = False
    flags: int = 0
    """CANFD_BRS, CANFD_ESI."""
    timestamp_ns: int = 0
    """When the kernel put it on the bus."""


class Bus:
    """A raw CAN socket: a peer that says exactly what it is told to, and a witness of all frames but its own."""

    _HEADER: Final = struct.Struct("=IBB2x")
    _TIMESPEC: Final = struct.Struct("@ll")

    def __init__(self, interface: str) -> None:
        self.frames: list[Frame] = []
        """Every frame received so far."""
        self._socket = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        self._socket.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        self._socket.bind((interface,))

    def send(self, can_id: int, data: bytes, fd: bool = False, brs: bool = False) -> None:
        """Put one frame on the bus."""
        size = 64 if fd else 8
        self._socket.send(self._HEADER.pack(can_id, len(data), brs) + data.ljust(size, b"\0"))

    def recv(self, timeout: float = 30.0) -> Frame:
        """The next frame; TimeoutError if there is none within `timeout` seconds."""
        self._socket.settimeout(timeout)
        raw, ancillary, _, _ = self._socket.recvmsg(72, 64)
        can_id, length, flags = self._HEADER.unpack_from(raw)
        seconds, nanoseconds = self._TIMESPEC.unpack(ancillary[0][2])
        is_fd = len(raw) == 72
        timestamp_ns = seconds * 1_000_000_000 + nanoseconds
        # 0x04 is CANFD_FDF, which newer kernels set in every CAN FD frame.
        frame = Frame(can_id, raw[8 : 8 + length], is_fd, flags & 0x03 if is_fd else 0, timestamp_ns)
        self.frames.append(frame)
        return frame

    def take(self, count: int) -> list[Frame]:
        """The next `count` frames."""
        return [self.recv() for _ in range(count)]

    def is_silent(self, seconds: float = 0.15) -> bool:
        """Whether no frame arrives for so long; one that does is in `frames`."""
        try:
            self.recv(seconds)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def new_bus() -> Iterator[Callable[[str], Bus]]:
    """`new_bus(interface)` opens a raw socket on it."""
    with contextlib.ExitStack() as stack:
        yield lambda interface: stack.enter_context(contextlib.closing(Bus(interface)))


@pytest.fixture
def bus(vcan: Link, new_bus: Callable[[str], Bus]) -> Bus:
    """A raw socket on `vcan`."""
    return new_bus(vcan)


_LENGTHS: Final = (*range(9), 12, 16, 20, 24, 32, 48, 64)


def segment(data: bytes, tx_dl: int = 8, prefix: bytes = b"", txpad: int | None = None) -> list[bytes]:
    """The payloads of the frames that carry `data`, worked out from ISO 15765-2:2016, 9.6, alone.

    `prefix` is the address byte, if there is one; `txpad` pads Classical CAN, and CAN FD, which must be padded
    above 8 bytes, pads with 0xCC without it.
    """

    def frame(pci: bytes, payload: bytes) -> bytes:
        whole = prefix + pci + payload
        length = next(n for n in _LENGTHS if n >= len(whole) and (n >= 8 or txpad is None))
        return whole.ljust(length, bytes([0xCC if txpad is None else txpad]))

    size, room = len(data), tx_dl - len(prefix)
    if size <= 7 - len(prefix):
        return [frame(bytes([size]), data)]
    if tx_dl > 8 and size <= room - 2:
        return [frame(bytes([0, size]), data)]
    pci = struct.pack(">H", 0x1000 | size) if size <= 4095 else struct.pack(">HI", 0x1000, size)
    done = room - len(pci)
    frames = [frame(pci, data[:done])]
    for number in itertools.count(1):
        if done >= size:
            break
        frames.append(frame(bytes([0x20 | number & 0xF]), data[done : done + room - 1]))
        done += room - 1
    return frames


def gaps_ns(frames: list[Frame]) -> list[int]:
    """The pauses between consecutive frames within a block; after a flow control there need be none."""
    return [
        after.timestamp_ns - before.timestamp_ns
        for before, after in itertools.pairwise(frames)
        if before.can_id == after.can_id and before.data[0] >> 4 == 2
    ]


def payload(size: int, seed: int = 0) -> bytes:
    """`size` bytes in which a lost, doubled or swapped frame shows."""
    period = bytes((7 * i + 13 * seed + 3) % 251 for i in range(251))
    return (period * (size // 251 + 1))[:size]


# --- other threads and programs


class Task(Generic[T]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as e:
            self._error = e

    def result(self, timeout: float = 60.0) -> T:
        """What the call returned; what it raised is raised here."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "still running"
        if self._error is not None:
            raise self._error
        return self._result[0]

    @property
    def is_done(self) -> bool:
        """Whether the call has returned or raised."""
        return not self._thread.is_alive()

    def wait_until_polling(self) -> None:
        """Wait until the call waits in poll()."""
        until(lambda: self.is_done or "poll" in self._place())
        assert not self.is_done, "the call did not wait"

    def _place(self) -> str:
        try:
            return Path(f"/proc/self/task/{self._thread.native_id}/wchan").read_text()
        except OSError:
            return ""

    def join(self) -> None:
        self._thread.join(60)


class Background:
    """Runs calls in threads and waits for them at the end."""

    def __init__(self) -> None:
        self._tasks: list[Task[Any]] = []

    def __call__(self, call: Callable[[], T]) -> Task[T]:
        """Run `call` in a thread."""
        task = Task(call)
        self._tasks.append(task)
        return task

    def close(self) -> None:
        for task in self._tasks:
            task.join()


@pytest.fixture
def background() -> Iterator[Background]:
    """`background(call)` runs it in a thread; `.result()` gives what it returned or raised."""
    with contextlib.closing(Background()) as tasks:
        yield tasks


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Starts programs; those that still run at the end are killed."""
    with contextlib.closing(Programs()) as programs:
        yield programs


# --- ISO-TP sockets


class Sockets:
    """Opens ISO-TP sockets and closes them at the end."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __call__(
        self, timeout: float | None = 30.0, *, rcvbuf: int | None = None, watch_begin: bool = False
    ) -> isotp.socket:
        """An unbound socket."""
        return self._stack.enter_context(isotp.socket(timeout, rcvbuf=rcvbuf, watch_begin=watch_begin))

    def native(self) -> socket.socket:
        """An unbound plain socket."""
        return self._stack.enter_context(socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def new_socket(background: Background, new_link: Links) -> Iterator[Sockets]:
    """`new_socket()` opens an isotp.socket, `new_socket.native()` a plain one."""
    with contextlib.closing(Sockets()) as sockets:
        yield sockets


@pytest.fixture(params=["blocking", "asyncio"])
def open_socket(request: pytest.FixtureRequest, vcan: Link, background: Background) -> Iterator[Callable[..., Any]]:
    """`open_socket(timeout)` opens a socket, bound as `a` of a Pair: an isotp.socket, or an AsyncSocket that waits.

    `address` is another one; `configure` is called before it is bound; the rest goes to the constructor.
    """
    loop = LoopThread() if request.param == "asyncio" else None
    opened: list[Any] = []

    def open_one(
        timeout: float | None, address: Any = None, configure: Callable[[Any], object] | None = None, **how: Any
    ) -> Any:
        opened.append(blocking(loop, isotp.AsyncSocket(timeout, **how)) if loop else isotp.socket(timeout, **how))
        if configure:
            configure(opened[-1])
        opened[-1].bind(vcan, address or isotp.Address.normal(rxid=B_TO_A, txid=A_TO_B))
        return opened[-1]

    yield open_one
    for sock in opened:
        sock.close()
    if loop:
        loop.close()


def always_show_out(sock: isotp.socket | isotp.AsyncSocket) -> None:
    """Let poll() show POLLOUT all the time, as kernels before 6.3 do."""
    tx = sock._end.transmission
    poll = tx.poll

    def lie(timeout_ms: float | None = None) -> list[tuple[int, int]]:
        events = dict(poll(0)).get(sock.fileno(), 0)
        return [(sock.fileno(), events | select.POLLOUT)]

    tx.poll = lie


class Pair(NamedTuple):
    """The two ends of a link; the bus sees 0x7E0 from `a` and 0x7E8 from `b`."""

    a: isotp.socket
    b: isotp.socket


A_TO_B: Final = 0x7E0
B_TO_A: Final = 0x7E8


@pytest.fixture
def pair(new_socket: Sockets, vcan: Link) -> Callable[..., Pair]:
    """`pair()` gives two bound sockets on `vcan`.

    `configure` is called with each before it is bound, `configure_a` and `configure_b` with one; `interface` is
    another one than `vcan`.
    """

    def make(
        configure: Callable[[isotp.socket], object] | None = None,
        *,
        configure_a: Callable[[isotp.socket], object] | None = None,
        configure_b: Callable[[isotp.socket], object] | None = None,
        interface: str = vcan,
    ) -> Pair:
        ends = Pair(new_socket(), new_socket())
        for end, own in zip(ends, (configure_a, configure_b), strict=True):
            if configure:
                configure(end)
            if own:
                own(end)
        ends.a.bind(interface, rxid=B_TO_A, txid=A_TO_B)
        ends.b.bind(interface, rxid=A_TO_B, txid=B_TO_A)
        return ends

    return make
