"""What kernel/ knows without a kernel: options and binding, waiting, sorting errors, and saying them."""

import errno
import math
import os
import socket
import struct
import sys
import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast

import pytest

import isotp
from isotp import Address, AsymmetricAddress, opts
from isotp.kernel import binding, listeners, translate
from isotp.kernel.binding import Binding
from isotp.linux import interface, modules
from isotp.linux import native as linux_native
from isotp.linux.interface import CanInterface
from isotp.opts import LinkLayerProtocol, flags

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's numbers are Linux's")

FOREVER = 10.0  # seconds: a wait that lasts so long has failed


class Native:
    """A native socket as far as it is looked at: options as the kernel keeps them, one error slot."""

    family, proto = 29, 6
    privileged: Collection[int] = ()

    def __init__(self) -> None:
        self.options = {
            1: struct.pack("=IIBBBB", 0, 50_000, 0, 0xCC, 0xCC, 0),
            2: bytes(3),
            3: bytes(4),
            4: bytes(4),
            5: bytes((16, 8, 0)),
        }
        self.name: tuple[str, int, int] = ("", 0, 0)
        self.slot = 0
        self.sending = False
        self.drops = 0
        self.closed = False
        self.timeout: float | None = None
        self.refuses: int = 0
        self.sol_socket: list[tuple[int, Any]] = []

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if level != 106:
            if option in self.privileged:
                raise PermissionError(errno.EPERM, "Operation not permitted")
            self.sol_socket.append((option, value))
            return
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        assert len(value) == len(self.options[option])
        if option == 1:  # as isotp_setsockopt: without RX_EXT_ADDR one byte serves both directions
            bits, txtime, ext, txpad, rxpad, rx_ext = struct.unpack("=IIBBBB", value)
            value = struct.pack("=IIBBBB", bits, txtime, ext, txpad, rxpad, rx_ext if bits & 0x200 else ext)
        self.options[option] = value

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        if level == 106:
            return self.options[option][:size]
        if option == socket.SO_ERROR:
            number, self.slot = self.slot, 0
            return number
        if option == 55:  # SO_MEMINFO
            return struct.pack("=9I", *range(8), self.drops)[:size]
        return 212_992

    def send(self, data: bytes, flags: int) -> int:
        assert (data, flags) == (b"", socket.MSG_DONTWAIT)
        raise OSError(errno.EAGAIN if self.sending else errno.EINVAL, "no")

    def bind(self, name: tuple[str, int, int]) -> None:
        if self.refuses:
            raise OSError(self.refuses, os.strerror(self.refuses))
        self.name = name

    def getsockname(self) -> tuple[str, int, int]:
        return self.name

    def settimeout(self, timeout: float | None) -> None:
        assert timeout is None
        self.timeout = None

    def gettimeout(self) -> float | None:
        return self.timeout

    def recv(self, size: int, flags: int) -> bytes:
        raise BlockingIOError

    def close(self) -> None:
        self.closed = True

    def fileno(self) -> int:
        return -1 if self.closed else 1000

    @property
    def general(self) -> tuple[int, int, int]:
        """Flags, ext_address, rx_ext_address."""
        bits, _, ext, _, _, rx_ext = struct.unpack("=IIBBBB", self.options[1])
        return bits, ext, rx_ext


@pytest.fixture
def native() -> Native:
    return Native()


# --- options

CHANGES: list[tuple[Any, dict[str, int], dict[int, bytes]]] = [
    # what is written, and what the kernel is then told
    (opts.general, {"txpad": 0x55}, {1: struct.pack("=IIBBBB", 0x04, 50_000, 0, 0x55, 0xCC, 0)}),
    (opts.general, {"rxpad": 0x55}, {1: struct.pack("=IIBBBB", 0x08, 50_000, 0, 0xCC, 0x55, 0)}),
    (opts.general, {"ext_address": 7}, {1: struct.pack("=IIBBBB", 0x02, 50_000, 7, 0xCC, 0xCC, 7)}),
    (
        opts.general,
        {"ext_address": 7, "rx_ext_address": 8},
        {1: struct.pack("=IIBBBB", 0x202, 50_000, 7, 0xCC, 0xCC, 8)},
    ),
    (opts.general, {"frame_txtime": 0}, {1: struct.pack("=IIBBBB", 0, 0xFFFFFFFF, 0, 0xCC, 0xCC, 0)}),
    (
        opts.general,
        {"tx_stmin": 300_000},
        {1: struct.pack("=IIBBBB", 0x80, 50_000, 0, 0xCC, 0xCC, 0), 3: struct.pack("=I", 300_000)},
    ),
    (
        opts.general,
        {"rx_stmin": 1},
        {1: struct.pack("=IIBBBB", 0x100, 50_000, 0, 0xCC, 0xCC, 0), 4: struct.pack("=I", 1)},
    ),
    (
        opts.general,
        {"frame_txtime": 0xFFFFFFFE, "txpad": 0xFF, "rxpad": 0xFF, "ext_address": 0xFF},
        {1: struct.pack("=IIBBBB", 0x0E, 0xFFFFFFFE, 0xFF, 0xFF, 0xFF, 0xFF)},
    ),
    (opts.flowcontrol, {"bs": 8, "stmin": 0xF3}, {2: bytes((8, 0xF3, 0))}),
    (opts.flowcontrol, {"bs": 0xFF, "stmin": 0x7F, "wftmax": 0}, {2: bytes((0xFF, 0x7F, 0))}),
    (opts.flowcontrol, {"stmin": isotp.STmin(0x80)}, {2: bytes((0, 0x80, 0))}),
    (opts.linklayer, {"mtu": 72, "tx_dl": 64, "tx_flags": 1}, {5: bytes((72, 64, 1))}),
]


@pytest.mark.parametrize(("group", "values", "told"), CHANGES)
def test_options_written(native: Native, group: Any, values: dict[str, int], told: dict[int, bytes]) -> None:
    expected = native.options | told
    result = group.write(native, **values)
    assert native.options == expected
    assert group.read(native) == result
    assert {name: getattr(result, name) for name in values} == values
    assert group.write(native) == result  # what is left out keeps its value


def test_the_defaults_are_those_of_the_kernel(native: Native) -> None:
    assert opts.GeneralOptions() == opts.general.read(native)
    assert opts.FlowControlOptions() == opts.flowcontrol.read(native)
    assert opts.LinkLayerOptions() == opts.linklayer.read(native)


def test_flags_left_out_are_cleared(native: Native) -> None:
    opts.general.write(native, txpad=0x55)
    options = opts.general.write(native, optflags=flags.LISTEN_MODE)
    assert (options.optflags, options.optflag, options.txpad) == (flags.LISTEN_MODE, flags.LISTEN_MODE, 0x55)


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (opts.general, {"txpad": 256}, r"txpad=256 \(0x100\): allowed is 0 to 255"),
    (opts.general, {"rxpad": -1}, "rxpad=-1 .*: allowed is 0 to 255"),
    (opts.general, {"ext_address": "7"}, "ext_address must be an integer, not '7'"),
    (opts.general, {"tx_stmin": True}, "tx_stmin must be an integer, not True"),
    (opts.general, {"frame_txtime": 0xFFFFFFFF}, "frame_txtime=.*: allowed is 0 to 4294967294"),
    (opts.general, {"optflags": 1 << 32}, "optflags=.*: allowed is 0 to"),
    (opts.general, {"optflags": 0x4000}, "no such flag: 0x4000"),
    (opts.general, {"optflags": flags.FORCE_TXSTMIN}, "FORCE_TXSTMIN needs a time: tx_stmin"),
    (opts.general, {"optflags": flags.FORCE_RXSTMIN}, "FORCE_RXSTMIN needs a time: rx_stmin"),
    (opts.general, {"rx_ext_address": 1}, "does nothing without EXTEND_ADDR"),
    (opts.flowcontrol, {"bs": 256}, "bs=256 .*: allowed is 0 to 255"),
    (opts.flowcontrol, {"stmin": 0x80}, "stmin=0x80 is reserved: allowed is 0 to 0x7F"),
    (opts.flowcontrol, {"stmin": 300}, "stmin=300 .*: allowed is 0 to 255"),
    (opts.linklayer, {"mtu": 64}, r"mtu=64: allowed is LinkLayerProtocol.CAN \(16\) or CAN_FD \(72\)"),
    (opts.linklayer, {"mtu": 72, "tx_dl": 9}, "tx_dl=9: allowed is 8, 12, 16, 20, 24, 32, 48, 64"),
    (opts.linklayer, {"tx_dl": 64}, r"Classical CAN \(mtu=16\) has 8 bytes and no flags"),
    (opts.linklayer, {"tx_flags": 1}, "Classical CAN"),
    (opts.linklayer, {"mtu": 72, "tx_flags": 4}, "tx_flags=4 .*: allowed is 0 to 3"),
]


@pytest.mark.parametrize(("group", "values", "reason"), REFUSED)
def test_options_refused(native: Native, group: Any, values: dict[str, Any], reason: str) -> None:
    before = dict(native.options)
    with pytest.raises(isotp.OptionError, match=reason):
        group.write(native, **values)
    assert native.options == before


def test_what_the_kernel_says_of_options(native: Native) -> None:
    native.refuses = errno.EINVAL
    with pytest.raises(isotp.OptionError, match="the kernel refused option 2 = 080000: Invalid argument") as refused:
        opts.flowcontrol.write(native, bs=8)
    assert refused.value.errno == errno.EINVAL
    native.refuses = errno.EISCONN
    with pytest.raises(isotp.AlreadyBoundError, match="once the socket is bound"):
        opts.flowcontrol.write(native, bs=8)
    native.name = ("vcan0", 1, 2)
    native.refuses = 0  # as out-of-tree modules, that took it and ignored it
    for group in (opts.general, opts.flowcontrol, opts.linklayer):
        with pytest.raises(isotp.AlreadyBoundError, match="options cannot change"):
            group.write(native)


def test_wftmax_is_told_to_be_useless(native: Native) -> None:
    with pytest.warns(isotp.OptionIgnoredWarning, match="wftmax=3: the kernel stores it and never uses it") as caught:
        assert opts.flowcontrol.write(native, wftmax=3).wftmax == 3
    assert caught[0].filename == __file__


def test_options_of_something_else(native: Native) -> None:
    native.proto = 1
    with pytest.raises(TypeError, match="not an ISO-TP socket"):
        opts.general.read(native)
    native.proto, native.closed = 6, True
    with pytest.raises(isotp.SocketClosedError):
        opts.general.read(native)


# --- interfaces


def ioctl_of(interfaces: dict[str, tuple[int, int, int]]) -> Callable[..., bytes]:
    """The kernel's answers about interfaces: hardware type, flags, MTU; each an ifreq of 40 bytes."""

    def ioctl(_: object, request: int, ifreq: bytes) -> bytes:
        assert len(ifreq) == 40
        name = ifreq[:16].rstrip(b"\0").decode()
        if name not in interfaces:
            raise OSError(errno.ENODEV, "No such device")
        kind, up, mtu = interfaces[name]
        packed = {0x8927: struct.pack("=H", kind), 0x8913: struct.pack("=H", up), 0x8921: struct.pack("=i", mtu)}
        return (ifreq[:16] + packed[request]).ljust(40, b"\xee")

    return ioctl


def test_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "lo": (772, 0x49, 65536),
        "can0": (280, 0xC0, 16),
        "vcan0": (280, 0xC1, 72),
        "a-name-of-15-bytes"[:15]: (280, 0xC1, 2060),
    }
    monkeypatch.setattr("fcntl.ioctl", ioctl_of(known))
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate([*known, "gone"], 1)))
    assert interface.names() == [*known, "gone"]
    found = interface.can_interfaces()
    assert found == [
        CanInterface("can0", is_can=True, is_up=False, mtu=16),
        CanInterface("vcan0", is_can=True, is_up=True, mtu=72),
        CanInterface("a-name-of-15-by", is_can=True, is_up=True, mtu=2060),
    ]
    assert [i.has_can_fd for i in found] == [False, True, True]


def test_the_real_loopback() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        lo = interface.query(any_socket, "lo")
        with pytest.raises(OSError, match="No such device"):
            interface.query(any_socket, "no-such-if")
    assert (lo.name, lo.is_can) == ("lo", False)
    assert lo.mtu > 72
    assert "lo" in interface.names()


# --- binding

HERE = {
    "vcan0": CanInterface("vcan0", is_can=True, is_up=True, mtu=72),
    "can0": CanInterface("can0", is_can=True, is_up=True, mtu=16),
    "can1": CanInterface("can1", is_can=True, is_up=False, mtu=16),
    "eth0": CanInterface("eth0", is_can=False, is_up=True, mtu=1500),
}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with some interfaces; the folder is its /proc."""
    monkeypatch.setattr(interface, "names", lambda: [*HERE])
    monkeypatch.setattr(interface, "query", lambda _, name: HERE[name])
    monkeypatch.setattr(interface, "can_interfaces", lambda _: [i for i in HERE.values() if i.is_can])
    monkeypatch.setattr(listeners, "_PROC", tmp_path / "proc/net/can")
    monkeypatch.setattr(listeners, "_STATS", tmp_path / "proc/net/can/stats")
    monkeypatch.setattr("isotp.opts.optflags.kernel_release", lambda: (6, 12))
    return tmp_path


def bind(native: Native, address: Address | AsymmetricAddress, name: str = "vcan0") -> Binding:
    return binding.bind(cast(socket.socket, native), name, address)


EFF = 0x80000000
LISTEN, EXTEND, RX_EXT, BROADCAST = 0x1, 0x2, 0x200, 0x800
EXTENDED = Address.extended(rxid=0x641, txid=0x640, target_address=0x10, source_address=0xF1)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("address", "ids", "general"),
    [
        (Address.normal(rxid=0x7E8, txid=0x7E0), (0x7E8, 0x7E0), (0, 0, 0)),
        (Address.normal(rxid=0x18DAF110, txid=0x18DA10F1), (0x98DAF110, 0x98DA10F1), (0, 0, 0)),
        (Address.normal(txid=0x7DF, functional=True), (0, 0x7DF), (BROADCAST, 0, 0)),
        (Address.normal(txid=0x7DF), (0, 0x7DF), (BROADCAST, 0, 0)),
        (Address.normal(rxid=0x7E8), (0x7E8, 0), (LISTEN, 0, 0)),
        (Address.normal(rxid=0), (0, 1), (LISTEN, 0, 0)),
        (EXTENDED, (0x641, 0x640), (EXTEND | RX_EXT, 0x10, 0xF1)),
        (Address.mixed_11bits(rxid=1, txid=2, address_extension=9), (1, 2), (EXTEND, 9, 9)),
        (Address.extended(rxid=0x641, source_address=0xF1), (0x641, 0), (LISTEN | EXTEND, 0xF1, 0xF1)),
        (Address.extended(txid=0x640, target_address=0x10), (0, 0x640), (BROADCAST | EXTEND, 0x10, 0x10)),
        (
            AsymmetricAddress(Address.normal(txid=0x7E0), Address.normal(rxid=0x18DAF110)),
            (0x98DAF110, 0x7E0),
            (0, 0, 0),
        ),
    ],
    ids=str,
)
def test_what_bind_tells_the_kernel(
    native: Native, address: Address | AsymmetricAddress, ids: tuple[int, int], general: tuple[int, int, int]
) -> None:
    bound = bind(native, address)
    assert native.name == ("vcan0", *ids)
    assert native.general == general
    broadcast = bool(general[0] & BROADCAST)
    assert bound.receives == bound.segmentation == bound.needs_flow_control == (not broadcast)
    assert bound.sends == (address.tx is not None)
    assert str(bound) == f"vcan0 {address}"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("tx_dl", "address", "largest"),
    [
        (8, Address.normal(rxid=1, txid=2), 7),
        (8, EXTENDED, 6),
        (64, Address.normal(rxid=1, txid=2), 62),
        (64, EXTENDED, 61),
        (12, EXTENDED, 9),
    ],
)
def test_single_frame_max(native: Native, tx_dl: int, address: Address, largest: int) -> None:
    """ISO 15765-2:2016, 9.6.2."""
    opts.linklayer.write(native, mtu=LinkLayerProtocol.CAN_FD, tx_dl=tx_dl)
    assert bind(native, address).single_frame_max == largest


@pytest.mark.usefixtures("here")
def test_segmented_broadcast(native: Native) -> None:
    opts.general.write(native, optflags=flags.CF_BROADCAST)
    bound = bind(native, Address.normal(txid=0x7DF, functional=True))
    assert native.general[0] == flags.CF_BROADCAST
    assert (bound.segmentation, bound.needs_flow_control, bound.receives) == (True, False, False)


@pytest.mark.usefixtures("here")
def test_options_stay_and_wait_tx_done_goes(native: Native) -> None:
    """Under WAIT_TX_DONE the kernel's send() is deaf to timeouts and to close()."""
    opts.general.write(native, optflags=flags.WAIT_TX_DONE, txpad=0x55)
    bind(native, EXTENDED)
    assert native.general == (flags.TX_PADDING | EXTEND | RX_EXT, 0x10, 0xF1)
    assert opts.general.read(native).txpad == 0x55


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("options", "address", "reason"),
    [
        ({"ext_address": 0x11}, EXTENDED, "ext_address=0x11 was set as an option and the address says 0x10"),
        (
            {"ext_address": 0x10, "rx_ext_address": 0x55},
            EXTENDED,
            "rx_ext_address=0x55 was set as an option and the address says 0xf1",
        ),
        (
            {"ext_address": 0x33, "rx_ext_address": 0x55},
            Address.extended(rxid=0x641, source_address=0x33),
            "rx_ext_address=0x55 was set as an option and the address says 0x33",
        ),
        (
            {"ext_address": 9, "rx_ext_address": 8},
            Address.mixed_11bits(rxid=1, txid=2, address_extension=9),
            "rx_ext_address=0x08 was set as an option",
        ),
        ({"optflags": flags.LISTEN_MODE}, Address.normal(txid=1), "LISTEN_MODE only receives"),
        ({"optflags": flags.SF_BROADCAST}, Address.normal(rxid=1), "LISTEN_MODE only receives"),
        ({}, Address.extended(rxid=1, txid=1, target_address=1, source_address=2), "needs different CAN identifiers"),
        (
            {},
            AsymmetricAddress(Address.normal(txid=1), Address.extended(rxid=2, source_address=3)),
            "address byte into the frames of both directions or of neither",
        ),
    ],
)
def test_options_that_contradict_the_address(
    native: Native, options: dict[str, int], address: Address | AsymmetricAddress, reason: str
) -> None:
    opts.general.write(native, **options)
    before = dict(native.options)
    with pytest.raises(ValueError, match=reason):
        bind(native, address)
    assert native.options == before
    assert native.name == ("", 0, 0)


@pytest.mark.usefixtures("here")
def test_options_that_agree_with_the_address(native: Native) -> None:
    opts.general.write(native, ext_address=0x10, rx_ext_address=0xF1)
    bind(native, EXTENDED)
    assert native.general == (EXTEND | RX_EXT, 0x10, 0xF1)


@pytest.mark.usefixtures("here")
def test_nothing_is_changed_if_the_kernel_refuses(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(native.options)

    def refuse(_: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(native, "bind", refuse)
    with pytest.raises(OSError, match="No such device"):
        bind(native, EXTENDED)
    assert native.options == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("can7", isotp.InterfaceNotFoundError, "no interface 'can7'; CAN interfaces here: vcan0, can0, can1"),
        ("", isotp.InterfaceNotFoundError, "no interface ''; .*\n  to do: .*add vcan0 type vcan"),
        ("eth0", isotp.NotACanInterfaceError, "eth0 is not a CAN interface; CAN interfaces here: vcan0, can0, can1"),
        ("can1", isotp.InterfaceDownError, "can1 is down .*\n  to do: sudo ip link set can1 up"),
        (0, TypeError, "interface must be the name of a CAN interface, not 0"),
        (None, TypeError, "interface must be the name of a CAN interface, not None"),
    ],
)
def test_interfaces_that_will_not_do(native: Native, name: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bind(native, EXTENDED, name)


@pytest.mark.usefixtures("here")
def test_can_fd_on_a_classical_interface(native: Native) -> None:
    opts.linklayer.write(native, mtu=LinkLayerProtocol.CAN_FD)
    with pytest.raises(isotp.OptionError, match=r"set to CAN FD \(mtu=72\) and can0 is Classical CAN \(mtu=16\)"):
        bind(native, EXTENDED, "can0")
    assert bind(native, EXTENDED, "vcan0").interface == "vcan0"


RECEIVE_LIST = """
receive list 'rx_{kind}':
  (any: no entry)
  device   can_id   can_mask      function          userdata       matches  ident
   vcan0  {id}  {mask}  00000000e1f2a3b4  000000005c6d7e8f         2  {who}
   vcan1  {id}  {mask}  00000000e1f2a3b4  00000000aabbccdd         0  isotp
  (can0: no entry)

"""


def listed(proc: Path, kind: str, can_id: str, who: str = "isotp") -> Path:
    folder = proc / "proc/net/can"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"rcvlist_{kind}"
    path.write_text(RECEIVE_LIST.format(kind=kind, id=can_id, mask="c00007ff", who=who))
    return path


def test_receive_list(tmp_path: Path) -> None:
    rows = listeners._receive_list(listed(tmp_path, "sff", "   7e8  "))
    assert [(r[0], r[1], r[-1]) for r in rows] == [("vcan0", "7e8", "isotp"), ("vcan1", "7e8", "isotp")]
    assert listeners._receive_list(tmp_path / "missing") == []


def count_entries(proc: Path, count: int) -> None:
    said = f"\n {count:8d} current receive list entries (CRCV)\n {99:8d} maximum receive list entries (MRCV)\n"
    (proc / "proc/net/can/stats").write_text(said)


def test_the_receive_lists_are_read_when_they_change(here: Path) -> None:
    known = listeners.Listeners()
    path = listed(here, "sff", "   7e8  ")
    count_entries(here, 2)
    assert known.count("vcan0", 0x7E0) == 0
    known.add("vcan0", 0x7E0)
    count_entries(here, 4)
    path.write_text(path.read_text().replace("7e8", "7e1"))  # as many went as came: not seen
    assert known.count("vcan0", 0x7E1) == 0
    count_entries(here, 5)
    assert known.count("vcan0", 0x7E1) == 1


def test_an_identifier_taken_for_used_is_looked_up(here: Path) -> None:
    known = listeners.Listeners()
    path = listed(here, "sff", "   7e8  ")
    count_entries(here, 2)
    assert known.count("vcan0", 0x7E8) == 1
    path.write_text("")
    assert known.count("vcan0", 0x7E8) == 0


def test_what_was_read_is_old_after_a_second(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = listeners.Listeners()
    now = 5.0
    monkeypatch.setattr(listeners, "monotonic", lambda: now)
    path = listed(here, "sff", "   7e8  ")
    count_entries(here, 2)
    assert known.count("vcan0", 0x7E1) == 0
    path.write_text(path.read_text().replace("7e8", "7e1"))
    now = 5.9
    assert known.count("vcan0", 0x7E1) == 0
    now = 6.1
    assert known.count("vcan0", 0x7E1) == 1


def one_listens(native: Native, address: Address) -> bool:
    """Whether bind tells of another socket; made an error, it keeps bind from binding."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        bind(native, address)
    assert native.name[0] == "vcan0"
    for warning in told:
        assert warning.category is isotp.DuplicateBindingWarning
        assert str(warning.message).startswith("1 other ISO-TP socket(s) already listen to ")
        assert warning.filename == __file__
    return bool(told)


@pytest.mark.parametrize(
    ("kind", "can_id", "who", "rxid", "expected"),
    [
        ("sff", "   7e8  ", "isotp", 0x7E8, True),
        ("sff", "   7e8  ", "isotp", 0x7E9, False),
        ("sff", "   7e8  ", "raw", 0x7E8, False),
        ("sff", "   7e8  ", "isotpe", 0x7E8, False),
        ("eff", "98daf110", "isotp", 0x18DAF110, True),
        ("eff", "800007e8", "isotp", 0x7E8, False),
        ("eff", "800007e8", "isotp", EFF | 0x7E8, True),
        ("fil", "98daf110", "isotp", 0x18DAF110, True),
    ],
)
def test_another_socket_on_the_same_identifier(
    here: Path, native: Native, kind: str, can_id: str, who: str, rxid: int, expected: bool
) -> None:
    listed(here, kind, can_id, who)
    assert one_listens(native, Address.normal(rxid=rxid, txid=rxid + 8)) is expected


def test_the_warning_made_an_error_keeps_from_binding(here: Path, native: Native) -> None:
    listed(here, "sff", "   7e8  ")
    opts.general.write(native, txpad=0x55)
    before = dict(native.options)
    with pytest.raises(isotp.DuplicateBindingWarning):
        bind(native, Address.normal(rxid=0x7E8, txid=0x7E0))
    assert native.options == before
    assert native.name == ("", 0, 0)


def test_who_shares_an_identifier_by_design(here: Path) -> None:
    listed(here, "sff", "   641  ")
    assert not one_listens(Native(), EXTENDED)
    assert not one_listens(Native(), Address.normal(rxid=0x641))  # it listens only
    assert one_listens(Native(), Address.normal(rxid=0x641, txid=1))


# --- the socket, as far as it needs no kernel


@pytest.fixture
def sock(native: Native, here: Path, monkeypatch: pytest.MonkeyPatch) -> isotp.socket:
    assert here.exists()
    monkeypatch.setattr(linux_native, "open_native_socket", lambda: native)
    return isotp.socket()


def test_what_a_socket_says_of_itself(sock: isotp.socket, native: Native) -> None:
    assert (sock.bound, sock.interface, sock.address, sock.closed) == (False, None, None, False)
    assert repr(sock) == "<isotp.socket unbound>"
    sock.bind("vcan0", rxid=0x7E8, txid=0x7E0)
    assert (sock.bound, sock.interface) == (True, "vcan0")
    assert sock.address == Address.normal(rxid=0x7E8, txid=0x7E0)
    assert repr(sock) == "<isotp.socket vcan0 rxid=0x7E8 txid=0x7E0>"
    assert sock.fileno() == native.fileno()
    assert sock.native is sock._socket is sock.real_socket() is cast(socket.socket, native)
    native.drops = 3
    assert sock.dropped == 3
    with pytest.warns(isotp.MessagesDroppedWarning, match=r"dropped 3 message\(s\) on vcan0 rxid=0x7E8"):
        sock._end.drops.warn(sock._end)
    sock._end.drops.warn(sock._end)  # once
    sock.close()
    assert repr(sock) == "<isotp.socket vcan0 rxid=0x7E8 txid=0x7E0 closed>"
    assert (native.closed, sock.fileno(), sock.dropped) == (True, -1, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, isotp.AddressError, "rxid and txid missing"),
        ({"address": EXTENDED, "rxid": 1}, isotp.AddressError, "an address and rxid/txid were both given"),
        ({"address": 0x7E8}, TypeError, "address must be an isotp.Address, not 2024; identifiers go as rxid="),
    ],
)
def test_bind_refuses(sock: isotp.socket, arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        sock.bind("vcan0", **arguments)
    assert not sock.bound


def test_bind_wants_an_interface(sock: isotp.socket) -> None:
    with pytest.raises(TypeError, match="interface must be the name of a CAN interface, not None"):
        sock.bind(rxid=1, txid=2)


@pytest.mark.usefixtures("sock")
def test_times_and_drops_are_asked_of_the_kernel(native: Native) -> None:
    assert native.sol_socket == [(35, 1), (40, 1)]  # asm-generic/socket.h: SO_TIMESTAMPNS, SO_RXQ_OVFL


@pytest.mark.parametrize(("privileged", "option"), [((), 33), ((33,), socket.SO_RCVBUF)])
@pytest.mark.usefixtures("sock")
def test_rcvbuf_with_and_without_privileges(
    monkeypatch: pytest.MonkeyPatch, native: Native, privileged: Collection[int], option: int
) -> None:
    """SO_RCVBUFFORCE, 33, goes past the system's limit, where it may."""
    monkeypatch.setattr(native, "privileged", privileged, raising=False)
    isotp.socket(rcvbuf=106_496)
    assert native.sol_socket[-1] == (option, 106_496)


def test_one_way(sock: isotp.socket) -> None:
    sock.bind("vcan0", Address.normal(txid=0x7DF))
    for call in (sock.recv, sock.recv_message, lambda: sock.recv(5)):
        with pytest.raises(isotp.OneWayError, match="only sends") as refused:
            call()
        assert refused.value.link == "vcan0 txid=0x7DF"


def test_one_way_the_other_way(sock: isotp.socket) -> None:
    sock.bind("vcan0", Address.normal(rxid=0x7E8))
    with pytest.raises(isotp.OneWayError, match="only receives"):
        sock.send(b"x")


def test_closed(sock: isotp.socket) -> None:
    sock.close()
    for call in (lambda: sock.bind("vcan0", EXTENDED), sock.recv, sock.confirm, sock.get_fc_opts):
        with pytest.raises(isotp.SocketClosedError, match="the socket is closed"):
            call()
    assert repr(sock) == "<isotp.socket unbound closed>"
    assert sock.dropped == 0
    sock.settimeout(1.0)
    assert sock.timeout == 1.0


@pytest.mark.parametrize("timeout", [None, 0.1])
def test_a_native_socket_that_was_set_not_to_block(sock: isotp.socket, native: Native, timeout: float | None) -> None:
    """By `s._socket.setblocking(False)`, for the loop.sock_* calls of asyncio."""
    sock.settimeout(timeout)
    native.timeout = 0.0
    sock.bind("vcan0", rxid=0x7E8, txid=0x7E0)
    assert (sock.gettimeout(), sock.timeout, sock.getblocking()) == (0.0, 0.0, False)
    with pytest.raises(BlockingIOError):
        sock.recv()
    sock.settimeout(5.0)
    assert sock.timeout == 5.0
    assert native.gettimeout() is None


def test_bind_binds_once(sock: isotp.socket) -> None:
    sock.bind("vcan0", EXTENDED)
    with pytest.raises(isotp.AlreadyBoundError, match="bound already"):
        sock.bind("vcan0", EXTENDED)


@pytest.mark.parametrize("kind", [isotp.socket, isotp.AsyncSocket])
def test_a_duplicate_made_an_error_leaves_the_socket_unbound(
    sock: isotp.socket, here: Path, native: Native, kind: type[isotp.socket] | type[isotp.AsyncSocket]
) -> None:
    listed(here, "sff", "   7e8  ")
    other = kind()
    with pytest.raises(isotp.DuplicateBindingWarning):  # warnings are errors here
        other.bind("vcan0", rxid=0x7E8, txid=0x7E0)
    assert (other.bound, native.name) == (False, ("", 0, 0))
    other.bind("vcan0", rxid=0x7E9, txid=0x7E0)
    assert other.bound


def test_options_of_the_socket(sock: isotp.socket) -> None:
    assert sock.set_general_opts(txpad=0x55) == sock.get_general_opts() == sock.get_opts()
    assert sock.set_opts(flags.WAIT_TX_DONE, rxpad=0xAA).optflags == flags.WAIT_TX_DONE | flags.RX_PADDING
    assert sock.set_fc_opts(8, 5) == sock.get_fc_opts() == opts.FlowControlOptions(8, isotp.STmin(5))
    assert sock.set_ll_opts(72, 64) == sock.get_ll_opts()
    sock.bind("vcan0", EXTENDED)
    for options in (sock.get_general_opts(), opts.general.read(sock)):
        assert options.optflags & flags.WAIT_TX_DONE  # kept by us, not by the kernel
    with pytest.raises(isotp.AlreadyBoundError):
        opts.general.write(sock, txpad=1)


@pytest.mark.parametrize("rcvbuf", ["much", 2**40, -1, 0, 1.5, True])
def test_a_wrong_rcvbuf_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch, rcvbuf: Any) -> None:
    opened: list[None] = []
    monkeypatch.setattr(linux_native, "open_native_socket", lambda: opened.append(None))
    with pytest.raises(isotp.OptionError, match=r"rcvbuf=.*: allowed is a number of bytes"):
        isotp.socket(rcvbuf=rcvbuf)
    assert not opened


@pytest.mark.parametrize("timeout", [-1, -0.1, math.nan])
def test_a_wrong_timeout(monkeypatch: pytest.MonkeyPatch, timeout: float) -> None:
    opened: list[None] = []
    monkeypatch.setattr(linux_native, "open_native_socket", lambda: opened.append(None))
    with pytest.raises(ValueError, match="allowed is None"):
        isotp.socket(timeout)
    assert not opened


@pytest.mark.usefixtures("sock")
def test_less_rcvbuf_than_asked_for_is_told() -> None:
    with pytest.warns(isotp.OptionIgnoredWarning, match="rcvbuf=1000000: the kernel granted 106496 bytes") as caught:
        isotp.socket(rcvbuf=1_000_000)
    assert caught[0].filename == __file__
    isotp.socket(rcvbuf=100_000)


# --- translation

S = isotp.errors


@pytest.fixture(autouse=True)
def interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "is_removed", lambda name: name != "can3")


def test_a_removed_interface_went_down_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translate, "is_removed", lambda name: True)
    assert type(translate.reception_failed(S.ENETDOWN, "can3", "link")) is isotp.InterfaceNotFoundError
    assert type(translate.transmission_failed(S.ENETDOWN, 9, True, "can3", "link")) is isotp.InterfaceNotFoundError


def parts(error: OSError) -> tuple[type[OSError], str, str, str]:
    assert isinstance(error, isotp.IsoTpError)
    return type(error), error.what, error.link or "", error.remedy or ""


@pytest.mark.parametrize(
    ("number", "error", "what", "remedy"),
    [
        (
            S.ECOMM,
            isotp.FlowControlTimeoutError,
            "no flow control within 1 s while sending 20 bytes, or",
            "receiver is awake",
        ),
        (S.EMSGSIZE, isotp.BufferOverflowError, "no room for a message of 20 bytes", "send less at a time"),
        (S.EBADMSG, isotp.InvalidCanDataError, "malformed flow control while sending 20 bytes", "candump"),
        (S.ENETDOWN, isotp.InterfaceDownError, "can3 went down while sending 20", "sudo ip link set can3 up"),
        (errno.ENODEV, isotp.InterfaceNotFoundError, "can3 was removed while sending 20", "close this socket"),
    ],
)
def test_transmission_failed(number: int, error: type[OSError], what: str, remedy: str) -> None:
    told = parts(translate.transmission_failed(number, 20, True, "can3", "can3 txid=0x001"))
    assert told[0] is error
    assert what in told[1]
    assert told[2] == "can3 txid=0x001"
    assert remedy in told[3]


@pytest.mark.parametrize(
    ("is_stuck", "cls"), [(True, isotp.TransmitTimeoutError), (False, isotp.FlowControlTimeoutError)]
)
def test_what_was_seen_is_told(is_stuck: bool, cls: type[isotp.TransferError]) -> None:
    error = translate.transmission_failed(S.ECOMM, 20, True, "can3", "link", is_stuck=is_stuck)
    assert type(error) is cls
    assert ("no flow control" in error.what) is not is_stuck
    assert ("onto the bus" in error.what) is is_stuck


def test_a_single_frame_needs_no_flow_control() -> None:
    error = translate.transmission_failed(S.ECOMM, 4, False, "can3", "link")
    assert type(error) is isotp.TransmitTimeoutError
    assert "flow control" not in str(error)


@pytest.mark.parametrize(
    ("number", "error", "what", "remedy"),
    [
        (S.ETIMEDOUT, isotp.ConsecutiveFrameTimeoutError, "began to arrive and broke off", "ask the sender again"),
        (S.EILSEQ, isotp.WrongSequenceNumberError, "lost, doubled or out of order", "larger stmin or a smaller bs"),
        (S.EBADMSG, isotp.InvalidCanDataError, "padding", "CHK_PAD"),
        (S.ENETDOWN, isotp.InterfaceDownError, "can3 went down", "sudo ip link set can3 up"),
        (errno.ENODEV, isotp.InterfaceNotFoundError, "can3 was removed", "bind a new one"),
    ],
)
def test_reception_failed(number: int, error: type[OSError], what: str, remedy: str) -> None:
    told = parts(translate.reception_failed(number, "can3", "can3 rxid=0x001"))
    assert told[0] is error
    assert what in told[1]
    assert told[2] == "can3 rxid=0x001"
    assert remedy in told[3]


def test_all_of_the_slot_can_be_said() -> None:
    for number in translate.SLOT_ERRNOS - translate.RECEPTION_ERRNOS:
        assert translate.transmission_failed(number, 1, True, "can3", "link").errno == number
    for number in translate.SLOT_ERRNOS - translate.TRANSMISSION_ERRNOS:
        assert translate.reception_failed(number, "can3", "link").errno == number


def send_refused(number: int, size: int = 20, single: int | None = None, interface: str | None = "can3") -> OSError:
    e = OSError(number, os.strerror(number))
    told = translate.send_refused(e, size, single, interface, "link")
    return told if told is not e else OSError("itself")


@pytest.mark.parametrize(
    ("number", "error", "what"),
    [
        (S.ENETDOWN, isotp.InterfaceDownError, "can3 is down, nothing was sent"),
        (S.ENOBUFS, isotp.TransmitQueueFullError, "the transmit queue of can3 is full, nothing was sent"),
        (errno.EBADF, isotp.SocketClosedError, "the socket is closed"),
        (S.EADDRNOTAVAIL, isotp.InterfaceNotFoundError, "can3 was removed"),
        (errno.ENXIO, isotp.InterfaceNotFoundError, "can3 was removed"),
        (errno.ENODEV, isotp.InterfaceNotFoundError, "can3 was removed"),
    ],
)
def test_send_refused(number: int, error: type[OSError], what: str) -> None:
    told = parts(send_refused(number))
    assert told[:3] == (error, what, "link")


@pytest.mark.parametrize("number", [S.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO])
def test_send_refused_unbound(number: int) -> None:
    error = send_refused(number, interface=None)
    assert parts(error)[:2] == (isotp.NotBoundError, "the socket is not bound")


def test_what_has_no_other_words_is_left_as_it_is() -> None:
    assert str(send_refused(errno.ENOMEM)) == "itself"
    e = OSError(errno.EINTR, "no")
    assert translate.unusable(e, "can3", "link") is e


@pytest.mark.parametrize(
    ("limit", "size", "single", "what", "remedy"),
    [
        (8300, 0, None, "an empty message cannot be sent", ""),
        (8300, 20, 7, "20 bytes do not fit a single frame: to many receivers at once at most 7 go", "physical"),
        (8300, 7, 7, "7 bytes are more than this kernel sends", "max_pdu_size"),
        (8300, 1_049_600, None, "1049600 bytes are more", "max_pdu_size=1049600"),
        (8300, 1_049_601, None, "1049601 bytes are more", "send less at a time"),
        (8300, 9000, None, "9000 bytes are more than this kernel sends (8300 bytes)", "max_pdu_size=9000"),
        (8300, 2_000_000, None, "2000000 bytes are more than this kernel sends (8300", "send less at a time"),
        (
            None,
            10_000,
            None,
            "10000 bytes are more than this kernel sends (66000 bytes, before Linux 5.18 less)",
            "less",
        ),
    ],
)
def test_messages_of_a_wrong_size(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    limit: int | None,
    size: int,
    single: int | None,
    what: str,
    remedy: str,
) -> None:
    parameter = tmp_path / "max_pdu_size"
    if limit:
        parameter.write_text(f"{limit}\n")
    monkeypatch.setattr(modules, "_PARAMETER", parameter)
    told = parts(send_refused(errno.EINVAL, size, single))
    assert told[0] is isotp.MessageSizeError
    assert what in told[1]
    assert remedy in told[3]
