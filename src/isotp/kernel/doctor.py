"""isotp.doctor: what this machine can do for ISO-TP, found out by trying, and the remedy for what it can't.

Whether ISO-TP works shows in a transfer, and a transfer must never reach a real bus. So it happens in a child
process that enters a network namespace of its own, where a vcan is the only CAN interface there is; both vanish
with the child. Nothing but the standard library is needed: the vcan is asked for by rtnetlink.
"""

import errno
import importlib.metadata
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from .. import __version__
from ..address import CanAddress
from ..errors import IsoTpError
from ..optflags import flags, kernel_honours, kernel_release
from . import support

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_LIVE_SECONDS: Final = 30.0
_LIVE_SIZE: Final = 100
_VCAN: Final = "vcan0"  # in the child's own namespace
_CAP_NET_ADMIN: Final = 12
_NO_SOCKET: Final = "not known before a socket can be opened"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool | None
    """None: not needed, or could not be told."""
    what: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What `doctor` found; `str()` of it is a table."""

    findings: tuple[Finding, ...]
    works: bool
    """Whether ISO-TP works here: a socket can be opened, and the live transfer did not fail.

    Where a live transfer cannot be tried (most often for lack of rights) the socket alone decides.
    """

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return {"works": self.works, "findings": [asdict(finding) for finding in self.findings]}

    def table(self, width: int = 80) -> str:
        """The report as text, at most `width` columns where words allow it."""
        indent = 8 + max(len(finding.name) for finding in self.findings) + 2
        lines = []
        for finding in self.findings:
            status = {True: "ok", False: "not ok", None: "note"}[finding.ok]
            head = f"{status:8}{finding.name}".ljust(indent)
            lines += _wrapped(finding.what, width, head, " " * indent)
            if finding.remedy:
                lines += _wrapped(f"to do: {finding.remedy}", width, " " * indent, " " * (indent + 7))
        verdict = "ISO-TP works here." if self.works else "ISO-TP does not work here; the lines above say what to do."
        return "\n".join([*lines, "", verdict])

    def __str__(self) -> str:
        return self.table()


def _wrapped(text: str, width: int, head: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(indent) + 30),
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def doctor() -> Report:
    """Find out whether ISO-TP works on this machine, and what to do where it does not.

    It runs on any platform and never raises. A live transfer is made in a child process, on a vcan in a private
    network namespace; no interface of this machine is touched. It takes about a second. Opening a socket makes
    the kernel load can-isotp, as it does for any program.
    """
    findings = [*_tried("python", _python), *_tried("package", _package), *_tried("system", _system)]
    (sock,) = _tried("socket", _socket)
    live = _Live(Finding("live transfer", None, "not tried: no ISO-TP socket can be opened"), {})
    if sys.platform == "linux":
        if sock.ok:
            live = _live_transfer()
        findings += _tried("modules", _modules, bool(sock.ok))
    findings.append(sock)
    if sys.platform == "linux":
        findings += _tried("message size", _message_size, bool(sock.ok))
        findings += _tried("flags", _flags, bool(sock.ok), live.honoured)
        findings += _tried("rights", _rights)
        findings += _tried("interfaces", _interfaces)
        findings += _tried("in use", _sockets_in_use)
    findings.append(live.finding)
    return Report(tuple(findings), works=sock.ok is True and live.finding.ok is not False)


def _tried(name: str, check: Callable[..., Iterator[Finding]], *args: object) -> list[Finding]:
    """The findings of one check; one that breaks must not hide the others."""
    try:
        return list(check(*args))
    except Exception as e:
        return [Finding(name, None, f"could not be told: {type(e).__name__}: {e}")]


# --- the checks, one line or several each


def _python() -> Iterator[Finding]:
    has = hasattr(socket, "CAN_ISOTP")
    what = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield Finding("python", has or sys.platform != "linux", what if has else f"{what}, without CAN_ISOTP")


def _package() -> Iterator[Finding]:
    """Another distribution that brings a package of the same name overwrites this one, or hides it."""
    what = f"isotp {__version__} in {_PACKAGE}"
    pip = f"{Path(sys.executable).name or 'python'} -m pip"
    others = sorted(set(importlib.metadata.packages_distributions().get("isotp", ())) - {"isotp"})
    copies = [
        str(path)
        for entry in dict.fromkeys(sys.path)
        for path in (Path(entry, "isotp"), Path(entry, "isotp.py"))
        if (path.is_file() or (path / "__init__.py").is_file()) and path.resolve() != _PACKAGE
    ]
    if others:
        remedy = f"{pip} uninstall {' '.join(others)}; then {pip} install --force-reinstall isotp"
        yield Finding("package", False, f"{what}; also installed under this name: {', '.join(others)}", remedy)
    elif copies:
        remedy = "remove or rename it: which of the two is imported depends on the folder you are in"
        yield Finding("package", False, f"{what}; another isotp lies in {', '.join(copies)}", remedy)
    else:
        yield Finding("package", True, what)


def _system() -> Iterator[Finding]:
    if sys.platform != "linux":
        yield Finding("system", None, platform.platform())
        return
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        name = "Linux"
    yield Finding("system", True, f"{name}, kernel {platform.release()} ({platform.machine()})")
    release = kernel_release()
    if release is not None and release < (5, 10):
        remedy = "a kernel of 5.10 or newer; a can-isotp module built for this one may do"
        yield Finding("kernel", None, "older than 5.10, the first Linux that brings can-isotp", remedy)


def _socket() -> Iterator[Finding]:
    try:
        support.open_native_socket().close()
    except IsoTpError as e:
        yield Finding("socket", False, e.what, e.remedy)
    except OSError as e:
        yield Finding("socket", False, f"no ISO-TP socket can be opened: {e.strerror}")
    else:
        yield Finding("socket", True, "ISO-TP sockets can be opened; that needs no rights")


def _modules(has_socket: bool) -> Iterator[Finding]:
    """Needed are can and can-isotp; can-raw serves the demo and candump, vcan the live transfer and tests."""
    states: dict[str, list[str]] = {}
    for name in ("can", "can-isotp", "can-raw", "vcan"):
        if support.is_module_loaded(name):
            state = "loaded"
        elif has_socket and name in ("can", "can-isotp"):
            state = "built in"
        else:
            state = {True: "loadable", False: "not in this kernel", None: "not loaded"}[
                support.is_module_loadable(name)
            ]
        states.setdefault(state, []).append(name)
    what = "; ".join(f"{state}: {', '.join(names)}" for state, names in states.items())
    remedy = f"sudo modprobe -a {' '.join(states['loadable'])}" if "loadable" in states else None
    complete = not states.keys() - {"loaded", "built in"}
    yield Finding("modules", complete or (None if has_socket else False), what, remedy)


def _message_size(has_socket: bool) -> Iterator[Finding]:
    if not has_socket:
        yield Finding("message size", None, _NO_SOCKET)
    elif support.has_max_pdu_size_parameter():
        more = "modprobe can-isotp max_pdu_size=N sets it, up to 1049600"
        yield Finding("message size", True, f"up to {support.max_pdu_size()} bytes (max_pdu_size; {more})")
    else:
        yield Finding("message size", True, f"up to about {support.max_pdu_size()} bytes, fixed in this kernel")


def _flags(has_socket: bool, observed: dict[str, bool]) -> Iterator[Finding]:
    """By behaviour where it was observed, else by the kernel's release: it stores flags it does not know."""
    if not has_socket:
        yield Finding("flags", None, _NO_SOCKET)
        return
    honoured = {str(flag.name): observed.get(str(flag.name), kernel_honours(flag)) for flag in flags}
    ignored = [name for name, honours in honoured.items() if honours is False]
    unknown = [name for name, honours in honoured.items() if honours is None]
    how = f"seen at work: {', '.join(observed)}" if observed else "going by its release"
    if ignored:
        what = f"this kernel stores and ignores {', '.join(ignored)}, and honours the other {len(flags) - len(ignored)}"
        yield Finding(
            "flags", None, f"{what} ({how.replace('seen at work', 'tried')})", "leave it out, or a newer kernel"
        )
    elif unknown:
        yield Finding("flags", None, f"cannot be told for {', '.join(unknown)}")
    else:
        yield Finding("flags", True, f"this kernel honours all {len(flags)} ({how})")


def _rights() -> Iterator[Finding]:
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    if effective >> _CAP_NET_ADMIN & 1:
        yield Finding("rights", True, "this process may set interfaces up (CAP_NET_ADMIN)")
    else:
        yield Finding("rights", None, "setting interfaces up needs sudo: this process has no CAP_NET_ADMIN")


def _interfaces() -> Iterator[Finding]:
    from .interface import CanInterface, can_interfaces

    def describe(interface: CanInterface) -> Finding:
        name = interface.name
        link = query_link(name)
        frames = {16: "Classical CAN", 72: "Classical CAN and CAN FD"}.get(interface.mtu, "Classical CAN, FD and XL")
        what = f"{link.kind or 'CAN'}, {link.can_state or ('up' if interface.is_up else 'down')}, {frames}"
        ok: bool | None = True
        remedy = None
        if not interface.is_up:
            ok, remedy = False, f"sudo ip link set {name} up"
            if link.kind not in ("vcan", "vxcan"):
                remedy = f"sudo ip link set {name} up type can bitrate 500000 (the bit rate of your bus)"
        elif link.can_state == "BUS-OFF":
            ok, remedy = False, f"check wiring and bit rate, then sudo ip link set {name} type can restart"
        elif link.can_state in ("ERROR-WARNING", "ERROR-PASSIVE"):
            ok, remedy = None, "check wiring, termination, the bit rate, and that another node is on the bus"
        elif not link.has_carrier:
            ok, what, remedy = False, f"{what}, no carrier", "set the other end up (vxcan), or look at its cable"
        return Finding(f"interface {name}", ok, what, remedy)

    found = can_interfaces()
    for interface in found:
        yield describe(interface)
    if not found:
        remedy = f"a virtual one for tests: sudo ip link add {_VCAN} type vcan && sudo ip link set {_VCAN} up"
        yield Finding("interfaces", None, "no CAN interface here", remedy)


def _sockets_in_use() -> Iterator[Finding]:
    """Who answers with flow control already: all ISO-TP sockets of this network namespace that receive."""
    from .binding import _RECEIVE_LISTS, _receive_list

    users: dict[str, Counter[int]] = {}
    for kind in _RECEIVE_LISTS:
        for interface, can_id, *_, who in _receive_list(Path("/proc/net/can", f"rcvlist_{kind}")):
            if who == "isotp":
                users.setdefault(interface, Counter())[int(can_id, 16)] += 1
    for interface, ids in users.items():
        listed = ", ".join(str(CanAddress(i)) + (f" ({n} sockets)" if n > 1 else "") for i, n in sorted(ids.items()))
        what = f"{ids.total()} ISO-TP socket(s) listen on {interface}: {listed}"
        doubled = max(ids.values()) > 1
        remedy = "without address bytes, two sockets on one identifier both answer: close one" if doubled else None
        yield Finding("in use", None, what, remedy)


# --- rtnetlink: just enough to make a vcan and to know one

_RTM_NEWLINK: Final = 16
_RTM_GETLINK: Final = 18
_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK_EXCL_CREATE: Final = 0x4 | 0x200 | 0x400
_NLMSG_ERROR: Final = 2
_NLMSGHDR: Final = struct.Struct("=IHHII")
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
_IFLA_IFNAME, _IFLA_LINKINFO = 3, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_CAN_STATE: Final = 4
_CAN_STATES: Final = ("ERROR-ACTIVE", "ERROR-WARNING", "ERROR-PASSIVE", "BUS-OFF", "STOPPED", "SLEEPING")


class Link(NamedTuple):
    """What rtnetlink tells about an interface."""

    kind: str | None
    """The driver's name for its kind: "vcan", "vxcan", "can" for a real bus; None if it has none."""
    has_carrier: bool
    can_state: str | None
    """Error state of the controller of a real bus, such as "ERROR-ACTIVE"."""


def query_link(name: str) -> Link:
    """Ask the kernel about interface `name`; OSError if there is none."""
    reply = _rtnetlink(_RTM_GETLINK, 0, socket.if_nametoindex(name), 0, b"")
    _, _, _, state, _ = _IFINFOMSG.unpack_from(reply, _NLMSGHDR.size)
    info = _attributes(_attributes(reply[_NLMSGHDR.size + _IFINFOMSG.size :]).get(_IFLA_LINKINFO, b""))
    kind = info.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode() or None
    can_state = None
    if kind == "can" and (raw := _attributes(info.get(_IFLA_INFO_DATA, b"")).get(_IFLA_CAN_STATE)):
        can_state = dict(enumerate(_CAN_STATES)).get(int.from_bytes(raw, sys.byteorder))
    return Link(kind, bool(state & _IFF_RUNNING), can_state)


def _add_vcan(name: str) -> None:
    kind = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"vcan\0"))
    name_and_kind = _attribute(_IFLA_IFNAME, name.encode() + b"\0") + kind
    _rtnetlink(_RTM_NEWLINK, _NLM_F_ACK_EXCL_CREATE, 0, _IFF_UP, name_and_kind)


def _rtnetlink(kind: int, how: int, index: int, state: int, attributes: bytes) -> bytes:
    info = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, state, state)
    size = _NLMSGHDR.size + len(info) + len(attributes)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.settimeout(5.0)
        kernel.send(_NLMSGHDR.pack(size, kind, how | _NLM_F_REQUEST, 1, 0) + info + attributes)
        reply = kernel.recv(65536)
    if _NLMSGHDR.unpack_from(reply)[1] == _NLMSG_ERROR:
        (number,) = struct.unpack_from("=i", reply, _NLMSGHDR.size)
        if number:
            raise OSError(-number, f"rtnetlink: {os.strerror(-number)}")
    return reply


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(raw: bytes) -> dict[int, bytes]:
    found = {}
    while len(raw) >= 4:
        size, kind = struct.unpack_from("=HH", raw)
        found[kind & 0x3FFF] = raw[4:size]
        raw = raw[max(size + 3 & ~3, 4) :]
    return found


# --- the live transfer


class _Live(NamedTuple):
    finding: Finding
    honoured: dict[str, bool]
    """Flags whose effect was looked for, by name."""


def _live_transfer() -> _Live:
    """Run `_live_child` in a process of its own; a namespace cannot be entered where threads may run."""
    name = "live transfer"
    if getattr(sys, "frozen", False) or not sys.executable:
        return _Live(Finding(name, None, "not tried: there is no Python to start (sys.executable)"), {})
    program = "import sys; sys.path.insert(0, sys.argv[1]); from isotp.kernel import doctor; doctor._live_child()"
    try:
        done = subprocess.run(
            [sys.executable, "-IB", "-c", program, str(_PACKAGE.parent)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIVE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return _Live(Finding(name, False, f"no end within {_LIVE_SECONDS:g} s on a private vcan"), {})
    except OSError as e:
        return _Live(Finding(name, None, f"could not be told: {sys.executable} cannot be started: {e.strerror}"), {})
    try:
        told = json.loads(done.stdout)
        return _Live(Finding(name, told["ok"], told["what"], told["remedy"]), told["honoured"])
    except (ValueError, KeyError, TypeError):
        why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        return _Live(Finding(name, None, f"could not be told: the process that tries it failed: {why}"), {})


def _live_child() -> None:
    """In the child: make the network, transfer, look for the effect of flags, and print the outcome as JSON."""
    honoured: dict[str, bool] = {}
    ok, remedy = None, None
    try:
        where = _enter_private_network()
        _add_vcan(_VCAN)
    except (OSError, ImportError) as e:
        what = f"not tried: no private vcan can be made ({getattr(e, 'strerror', None) or e})"
        remedy = _remedy_for_network(e)
    else:
        try:
            seconds = _transfer()
            ok, what = True, f"{_LIVE_SIZE} bytes sent and received both ways in {seconds * 1000:.1f} ms on {where}"
            honoured = _observe_flags()
        except OSError as e:
            ok, what = False, f"a message on {where} failed: {type(e).__name__}: {getattr(e, 'what', e)}"
    print(json.dumps({"ok": ok, "what": what, "remedy": remedy, "honoured": honoured}))


def _enter_private_network() -> str:
    """Leave the network of this machine, as root or else as root of a user namespace; returns where we are."""
    import ctypes  # os.unshare came with Python 3.12

    new_user, new_net = 0x10000000, 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(new_net) == 0:
        return "a private vcan"
    if libc.unshare(new_user | new_net) == 0:
        return "a private vcan (made without root)"
    number = ctypes.get_errno()
    raise OSError(number, f"unshare: {os.strerror(number)}")


def _remedy_for_network(e: Exception) -> str | None:
    number = getattr(e, "errno", None)
    if number == errno.EOPNOTSUPP:
        return support.remedy_for_module("vcan")
    if number == errno.ENOSPC:
        return "sudo python -m isotp doctor, or sudo sysctl user.max_user_namespaces=10000"
    if number in (errno.EPERM, errno.EACCES):
        if os.geteuid():
            return "sudo python -m isotp doctor; without sudo it needs user namespaces, which are not allowed here"
        return "on the host, or in a container with CAP_SYS_ADMIN, it can be tried"
    return None


def _transfer() -> float:
    """Segmented messages between two sockets, one each way; returns seconds."""
    from .sock import socket as isotp_socket

    message = bytes(range(_LIVE_SIZE))
    with isotp_socket(timeout=5.0) as one, isotp_socket(timeout=5.0) as other:
        one.bind(_VCAN, rxid=0x7E8, txid=0x7E0)
        other.bind(_VCAN, rxid=0x7E0, txid=0x7E8)
        begin = time.perf_counter()
        for sender, receiver in ((one, other), (other, one)):
            sender.send(message)
            if receiver.recv() != message:
                raise OSError("what was received is not what was sent")
        return time.perf_counter() - begin


def _observe_flags() -> dict[str, bool]:
    """What the flags that not every kernel knows really do; those that cannot be told are left out."""
    observed = {}
    for flag in (flags.SF_BROADCAST, flags.CF_BROADCAST, flags.DYN_FC_PARMS):
        try:
            observed[str(flag.name)] = _is_honoured(flag)
        except OSError:
            continue
    return observed


def _is_honoured(flag: flags) -> bool:
    """Send 34 bytes (a FirstFrame and four ConsecutiveFrames) with `flag`; OSError if it cannot be told."""
    from .. import opts

    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as peer, support.open_native_socket() as sender:
        peer.bind((_VCAN,))
        peer.settimeout(0.5)
        sender.setsockopt(opts.SOL_CAN_ISOTP, opts.CAN_ISOTP_OPTS, struct.pack("=II4B", flag, 0, 0, 0xCC, 0xCC, 0))
        sender.bind((_VCAN, 0x7E8, 0x7E0))

        def flow_control(status: int, block_size: int) -> None:
            peer.send(struct.pack("=IB3x8B", 0x7E8, 3, 0x30 | status, block_size, 0, 0, 0, 0, 0, 0))

        try:
            sender.send(bytes(34))
        except OSError:
            if flag is flags.SF_BROADCAST:
                return True  # a single frame cannot take it
            raise
        try:
            peer.recv(16)
            if flag is flags.DYN_FC_PARMS:  # blocks of one frame, and then no more blocks
                flow_control(0, 1)
                peer.recv(16)
                flow_control(0, 0)
                peer.recv(16)
            return flag is not flags.SF_BROADCAST and _comes_another(peer)
        finally:
            flow_control(2, 0)  # no room: ends what may still be under way


def _comes_another(peer: socket.socket) -> bool:
    try:
        return bool(peer.recv(16))
    except TimeoutError:
        return False
