"""rtnetlink: what kind of interface it is, and making a vcan."""

import os
import socket
import struct
import sys
from typing import Final, NamedTuple

from .constants import IFF_RUNNING, IFF_UP

_RTM_NEWLINK: Final = 16
_RTM_GETLINK: Final = 18
_NLM_F_REQUEST: Final = 0x1
_NLM_F_ACK_EXCL_CREATE: Final = 0x4 | 0x200 | 0x400
_NLMSG_ERROR: Final = 2
_NLMSGHDR: Final = struct.Struct("=IHHII")
_IFINFOMSG: Final = struct.Struct("=BxHiII")
_IFLA_IFNAME, _IFLA_LINKINFO = 3, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_CAN_STATE: Final = 4
_CAN_STATES: Final = ("ERROR-ACTIVE", "ERROR-WARNING", "ERROR-PASSIVE", "BUS-OFF", "STOPPED", "SLEEPING")


class Link(NamedTuple):
    """What rtnetlink says about an interface."""

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
    return Link(kind, bool(state & IFF_RUNNING), can_state)


def add_vcan(name: str) -> None:
    """Make a virtual CAN interface and set it up; OSError if that is not allowed."""
    kind = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"vcan\0"))
    name_and_kind = _attribute(_IFLA_IFNAME, name.encode() + b"\0") + kind
    _rtnetlink(_RTM_NEWLINK, _NLM_F_ACK_EXCL_CREATE, 0, IFF_UP, name_and_kind)


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
