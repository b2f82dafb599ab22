"""A transfer that shows whether ISO-TP works here, away from every real bus.

It happens in a child process that enters a network namespace of its own, where a vcan is the only CAN interface
there is; both vanish with the child.
"""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from ..can_frame import CanFrame
from ..linux.constants import CAN_ISOTP_OPTS, ISOTP_OPTIONS, SOL_CAN_ISOTP
from ..linux.modules import remedy_for_module
from ..linux.native import open_native_socket
from ..linux.raw_can import RawCanSocket
from ..linux.rtnetlink import add_vcan
from ..opts.optflags import flags

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_LIVE_SECONDS: Final = 30.0
_LIVE_SIZE: Final = 100
_FRAME_SECONDS: Final = 0.5
_VCAN: Final = "vcan0"  # in the child's own namespace


class Live(NamedTuple):
    """The outcome of the live transfer."""

    ok: bool | None
    """None: it could not be tried."""
    what: str
    remedy: str | None
    honoured: dict[str, bool]
    """Flags whose effect was looked for, by name."""


def live_transfer() -> Live:
    """Run `child` in a process of its own; a namespace cannot be entered where threads may run."""
    if getattr(sys, "frozen", False) or not sys.executable:
        return Live(None, "not tried: there is no Python to start (sys.executable)", None, {})
    program = "import sys; sys.path.insert(0, sys.argv[1]); from isotp.checkup import live; live.child()"
    try:
        done = subprocess.run(
            [sys.executable, "-IB", "-c", program, str(_PACKAGE.parent)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIVE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Live(False, f"no end within {_LIVE_SECONDS:g} s on a private vcan", None, {})
    except OSError as e:
        return Live(None, f"not known: {sys.executable} cannot be started: {e.strerror}", None, {})
    try:
        found = json.loads(done.stdout)
        return Live(found["ok"], found["what"], found["remedy"], found["honoured"])
    except (ValueError, KeyError, TypeError):
        why = done.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        return Live(None, f"not known: the process that tries it failed: {why}", None, {})


def child() -> None:
    """In the child: make the network, transfer, look for the effect of flags, and print the outcome as JSON."""
    honoured: dict[str, bool] = {}
    ok, remedy = None, None
    try:
        where = _enter_private_network()
        add_vcan(_VCAN)
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
        return remedy_for_module("vcan")
    if number == errno.ENOSPC:
        return "sudo python -m isotp doctor, or sudo sysctl user.max_user_namespaces=10000"
    if number in (errno.EPERM, errno.EACCES):
        if os.geteuid():
            return "sudo python -m isotp doctor; without sudo it needs user namespaces, which are not allowed here"
        return "on the host, or in a container with CAP_SYS_ADMIN, it can be tried"
    return None


def _transfer() -> float:
    """Segmented messages between two sockets, one each way; returns seconds."""
    from ..kernel.socket import socket as isotp_socket

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
    """What the flags that not every kernel knows really do; those that could not be tried are left out."""
    observed = {}
    for flag in (flags.SF_BROADCAST, flags.CF_BROADCAST, flags.DYN_FC_PARMS):
        try:
            observed[str(flag.name)] = _is_honoured(flag)
        except OSError:
            continue
    return observed


def _is_honoured(flag: flags) -> bool:
    """Send 34 bytes (a FirstFrame and four ConsecutiveFrames) with `flag`; OSError if it cannot be found out."""
    with RawCanSocket(_VCAN, can_ids=[0x7E0]) as peer, open_native_socket() as sender:
        sender.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.pack(flag, 0, 0, 0xCC, 0xCC, 0))
        sender.bind((_VCAN, 0x7E8, 0x7E0))
        try:
            sender.send(bytes(34))
        except OSError:
            if flag is flags.SF_BROADCAST:
                return True  # a single frame cannot take it
            raise
        try:
            _next_frame(peer)
            if flag is flags.DYN_FC_PARMS:  # blocks of one frame, and then no more blocks
                _flow_control(peer, 0, 1)
                _next_frame(peer)
                _flow_control(peer, 0, 0)
                _next_frame(peer)
            return flag is not flags.SF_BROADCAST and peer.wait(_FRAME_SECONDS)
        finally:
            _flow_control(peer, 2, 0)  # no room: ends what may still be under way


def _flow_control(peer: RawCanSocket, flow_status: int, block_size: int) -> None:
    peer.send([CanFrame(0x7E8, bytes((0x30 | flow_status, block_size, 0)))])


def _next_frame(peer: RawCanSocket) -> None:
    if not (peer.wait(_FRAME_SECONDS) and peer.receive(1)):
        raise TimeoutError("no frame")
