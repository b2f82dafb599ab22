"""What a gateway is told: the vehicle, its ECUs, the testers that may reach them, limits and times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..address import Address, AsymmetricAddress

UDP_AND_TCP_PORT: Final = 13400
TLS_PORT: Final = 3496
VIN_SIZE: Final = 17
ID_SIZE: Final = 6
READY: Final = 1
POWER_MODES: Final = {"not ready": 0, "ready": READY, "not supported": 2}
"""What a gateway may answer to a power mode request (table 9)."""


@dataclass(frozen=True, kw_only=True)
class Vehicle:
    """What the gateway says of itself and its vehicle.

    Args:
        address: its logical address.
        vin: 17 characters; empty: it does not know it, and says so.
        eid: identifies the gateway, usually its MAC address.
        gid: identifies the group of all DoIP entities of the vehicle.
        power_mode: what it answers to a power mode request, or a function that returns it.
        version: the protocol version of announcements, and of replies to requests that name none.
    """

    address: int
    vin: str = ""
    eid: bytes = bytes(ID_SIZE)
    gid: bytes = bytes(ID_SIZE)
    power_mode: int | Callable[[], int] = POWER_MODES["not supported"]
    version: int = 2


@dataclass(frozen=True)
class Target:
    """An ECU.

    Args:
        address: its logical address.
        link: the addresses of its link, as the tester sees them: `txid` is that of requests.
        name: in lines about it.
        bus: where its link is; None: where the gateway's are.
        longest: bytes of the longest request.
    """

    address: int
    link: Address | AsymmetricAddress
    name: str = ""
    bus: str | None = None
    longest: int = 4095


@dataclass(frozen=True)
class FunctionalTarget:
    """A logical address that stands for several ECUs.

    Args:
        address: the logical address.
        link: where requests go, such as `Address.normal(txid=0x7DF, functional=True)`.
        ecus: the logical addresses of the ECUs that may reply.
        bus: where requests go; None: where the gateway's go.
    """

    address: int
    link: Address
    ecus: tuple[int, ...]
    bus: str | None = None


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Testers that may use the gateway.

    Args:
        addresses: the logical addresses that they may have.
        types: the types of routing activation that they may ask for: 0 default, 1 WWH-OBD, 0xE0 central security.
        targets: the logical addresses that they may send to; None: all.
        confirm: whether somebody has to agree to each activation.
        certificate: the common name that their TLS certificate has to have; None: any.
    """

    addresses: range
    types: tuple[int, ...] = (0, 1)
    targets: tuple[int, ...] | None = None
    confirm: bool = False
    certificate: str | None = None


class Tls(NamedTuple):
    """Files of TLS, in PEM."""

    certificate: str
    key: str
    clients: str | None
    """The certificate authority of testers; None: they need no certificate."""


@dataclass(frozen=True)
class Setup:
    """All that a gateway file says."""

    vehicle: Vehicle
    ecus: tuple[Target, ...]
    testers: tuple[Permission, ...]
    functional: tuple[FunctionalTarget, ...] = ()
    tls: Tls | None = None


class Limits(NamedTuple):
    """What testers may take."""

    clients: int = 16
    """Connections with activated routing."""
    waiting: int = 64
    """Connections without; if there are more, the oldest of them is closed."""
    message: int = 1 << 20
    """Bytes of one message."""
    held: int = 1 << 26
    """Bytes of all messages that are not on the bus yet."""
    requests: int = 64
    """Requests of one connection that are not on the bus yet."""
    unread: int = 1 << 22
    """Bytes that wait until a connection reads; above it is closed."""


class Timers(NamedTuple):
    """Times in seconds. Those with a name in capitals are of the standard, the others ours."""

    initial: float = 2.0
    """T_TCP_Initial_Inactivity: until a new connection has activated routing."""
    general: float = 300.0
    """T_TCP_General_Inactivity: a connection on which nothing was sent or received is closed."""
    alive: float = 0.5
    """T_TCP_Alive_Check: until the reply to an alive check."""
    announce_wait: float = 0.5
    """A_DoIP_Announce_Wait: the longest random delay before the first announcement, or an identification."""
    announce_interval: float = 0.5
    """A_DoIP_Announce_Interval."""
    announce_count: int = 3
    """A_DoIP_Announce_Num: how many announcements there are."""
    acknowledge: float = 1.0
    """A request whose transfer takes longer is acknowledged before its end (A_DoIP_Diagnostic_Message is 2 s)."""
    confirm: float = 60.0
    """How long a confirmation of routing is waited for."""
    response: float = 2.0
    """An ECU that has not replied for so long is free for another tester."""
    pending: float = 10.0
    """The same, after a response pending (0x78)."""
    retry: float = 1.0
    """A link that failed is tried again."""
