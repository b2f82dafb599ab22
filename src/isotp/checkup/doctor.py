"""isotp.doctor: what works on this machine, found out by trying, and the remedy for what does not."""

import os
import platform
import socket
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from .. import __version__
from ..address import CanAddress
from ..errors import IsoTpError
from ..linux import modules, native
from ..linux.release import has
from ..linux.traits import EVERY
from ..opts.optflags import flags, kernel_honours
from .installation import clash
from .live import Live, live_transfer

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_CAP_NET_ADMIN: Final = 12
_ENGINE_SECONDS: Final = 5.0
_SURROUNDINGS: Final[tuple[tuple[Callable[[], bool], str], ...]] = (
    (
        lambda: "microsoft" in platform.release(),
        "WSL2: its stock kernel brings can-isotp and vcan from 6.18 on (wsl --update); an adapter reaches it by usbipd",
    ),
    (
        lambda: any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv", "/run/systemd/container"))),
        "a container: the kernel is the host's, and modules are loaded there (sudo modprobe can-isotp vcan); it sees "
        "the host's interfaces with --network host only, or one that was moved to it (ip link set can0 netns PID)",
    ),
)
_NO_SOCKET: Final = "not known before a socket can be opened"
_ENGINE: Final = "the engine in Python, with the same calls: isotp.SoftSocket(bus), isotp.AsyncSoftSocket(bus)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool | None
    """None: not needed, or not known."""
    what: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What `doctor` found; `str()` of it is a table."""

    findings: tuple[Finding, ...]
    works: bool
    """Whether the kernel's ISO-TP works here: a socket can be opened, and the live transfer did not fail.

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
        return "\n".join([*lines, "", *_wrapped(self._verdict(), width, "", "")])

    def _verdict(self) -> str:
        if not self.works:
            return (
                f"The kernel's ISO-TP does not work here; the lines above say what to do. Or use {_ENGINE}; or a VM: "
                "isotp-kernel -- COMMAND."
            )
        if any(finding.ok is False for finding in self.findings):
            return "ISO-TP works here, except for what is marked as not ok above."
        return "ISO-TP works here."

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
    """Find out whether ISO-TP works on this machine, in the kernel and in the engine, and what to do if not.

    It runs on any platform and never raises. A live transfer is made in a child process, on a vcan in a private
    network namespace; no interface of this machine is touched. It takes about a second. Opening a socket makes
    the kernel load can-isotp, as it does for any program.
    """
    findings = [*_tried("python", _python), *_tried("package", _package), *_tried("system", _system)]
    (sock,) = _tried("socket", _socket)
    live = Live(None, "not tried: no ISO-TP socket can be opened", None, {})
    if sys.platform == "linux":
        if sock.ok:
            live = live_transfer()
        findings += _tried("modules", _modules, bool(sock.ok))
    findings.append(sock)
    if sys.platform == "linux":
        findings += _tried("message size", _message_size, bool(sock.ok))
        findings += _tried("flags", _flags, bool(sock.ok), live.honoured)
        findings += _tried("rights", _rights)
        findings += _tried("interfaces", _interfaces)
        findings += _tried("in use", _sockets_in_use)
    findings.append(Finding("live transfer", live.ok, live.what, live.remedy))
    findings += _tried("engine", _engine)
    return Report(tuple(findings), works=sock.ok is True and live.ok is not False)


def _tried(name: str, check: Callable[..., Iterator[Finding]], *args: object) -> list[Finding]:
    """The findings of one check; one that breaks must not hide the others."""
    try:
        return list(check(*args))
    except Exception as e:
        return [Finding(name, None, f"not known: {type(e).__name__}: {e}")]


# --- the checks, one line or several each


def _python() -> Iterator[Finding]:
    has = hasattr(socket, "CAN_ISOTP")
    what = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    yield Finding("python", has or sys.platform != "linux", what if has else f"{what}, without CAN_ISOTP")


def _package() -> Iterator[Finding]:
    """Another distribution that brings a package of the same name overwrites this one, or hides it."""
    what = f"isotp {__version__} in {_PACKAGE}"
    # What an import would find; a file without .py, such as the command in bin/, is no module.
    copies = [
        str(path)
        for entry in dict.fromkeys(sys.path)
        for path, source in ((Path(entry, "isotp"), "__init__.py"), (Path(entry, "isotp.py"), ""))
        if (path / source).is_file() and path.resolve() != _PACKAGE
    ]
    if found := clash():
        yield Finding("package", False, f"{what}; {found[0]}", found[1])
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
    for trait in EVERY:
        if trait.without and has(trait) is False:
            yield Finding("kernel", None, f"as far as is known: {trait.without}", f"an update: it is gone {trait}")
    for is_here, what in _SURROUNDINGS:
        if is_here():
            yield Finding("kernel", None, what)


def _socket() -> Iterator[Finding]:
    try:
        native.open_native_socket().close()
    except IsoTpError as e:
        remedy = (e.remedy or "").partition("; or use the engine")[0]  # the last line of the report says the rest
        yield Finding("socket", False, e.what, remedy)
    except OSError as e:
        yield Finding("socket", False, f"no ISO-TP socket can be opened: {e.strerror}")
    else:
        yield Finding("socket", True, "ISO-TP sockets can be opened; that needs no rights")


def _modules(has_socket: bool) -> Iterator[Finding]:
    """Needed are can and can-isotp; can-raw serves the demo and candump, vcan the live transfer and tests."""
    states: dict[str, list[str]] = {}
    for name in ("can", "can-isotp", "can-raw", "vcan"):
        if modules.is_module_loaded(name):
            state = "loaded"
        elif has_socket and name in ("can", "can-isotp"):
            state = "built in"
        else:
            state = {True: "loadable", False: "not in this kernel", None: "not loaded"}[
                modules.is_module_loadable(name)
            ]
        states.setdefault(state, []).append(name)
    what = "; ".join(f"{state}: {', '.join(names)}" for state, names in states.items())
    remedy = f"sudo modprobe -a {' '.join(states['loadable'])}" if "loadable" in states else None
    complete = not states.keys() - {"loaded", "built in"}
    yield Finding("modules", complete or (None if has_socket else False), what, remedy)


def _message_size(has_socket: bool) -> Iterator[Finding]:
    if not has_socket:
        yield Finding("message size", None, _NO_SOCKET)
    elif modules.has_max_pdu_size_parameter():
        more = "modprobe can-isotp max_pdu_size=N sets it, up to 1049600"
        yield Finding("message size", True, f"up to {modules.max_pdu_size()} bytes (max_pdu_size; {more})")
    else:
        yield Finding("message size", True, f"up to about {modules.max_pdu_size()} bytes, fixed in this kernel")


def _flags(has_socket: bool, observed: dict[str, bool]) -> Iterator[Finding]:
    """From the observed behaviour, or else from the release: reading a flag back proves nothing."""
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
        yield Finding("flags", None, f"not known for {', '.join(unknown)}")
    else:
        yield Finding("flags", True, f"this kernel honours all {len(flags)} ({how})")


def _engine() -> Iterator[Finding]:
    """It runs anywhere; whether it does is tried on a bus in this process."""
    from ..bus.virtual import VirtualBus
    from ..soft.socket import SoftSocket

    bus, message = VirtualBus(), bytes(range(100))
    with SoftSocket(bus, _ENGINE_SECONDS) as one, SoftSocket(bus, _ENGINE_SECONDS) as other:
        one.bind(rxid=0x7E8, txid=0x7E0)
        other.bind(rxid=0x7E0, txid=0x7E8)
        one.send(message)
        works = other.recv() == message
    buses = "isotp.VirtualBus() in this process, isotp.SocketCanBus(interface), isotp.PythonCanBus(bus)"
    what = f"{_ENGINE}; buses: {buses}"
    yield Finding("engine", works, f"{len(message)} bytes sent and received by {what}" if works else f"{what}: failed")


def _rights() -> Iterator[Finding]:
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    if effective >> _CAP_NET_ADMIN & 1:
        yield Finding("rights", True, "this process may set interfaces up (CAP_NET_ADMIN)")
    else:
        yield Finding("rights", None, "setting interfaces up needs sudo: this process has no CAP_NET_ADMIN")


def _interfaces() -> Iterator[Finding]:
    from ..linux.interface import CanInterface, can_interfaces
    from ..linux.rtnetlink import query_link

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
        remedy = "a virtual one for tests: sudo ip link add vcan0 type vcan && sudo ip link set vcan0 up"
        yield Finding("interfaces", None, "no CAN interface here", remedy)


def _sockets_in_use() -> Iterator[Finding]:
    """The ISO-TP sockets of this network namespace that receive, and so answer with flow control already."""
    from ..kernel.listeners import listeners

    users: dict[str, Counter[int]] = {}
    for interface, can_id in listeners():
        users.setdefault(interface, Counter())[can_id] += 1
    for interface, ids in users.items():
        listed = ", ".join(str(CanAddress(i)) + (f" ({n} sockets)" if n > 1 else "") for i, n in sorted(ids.items()))
        what = f"{ids.total()} ISO-TP socket(s) listen on {interface}: {listed}"
        doubled = max(ids.values()) > 1
        remedy = "without address bytes, two sockets on one identifier both answer: close one" if doubled else None
        yield Finding("in use", None, what, remedy)
