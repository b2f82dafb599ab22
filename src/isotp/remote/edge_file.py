"""Edge files: what an edge offers, to whom, and where it listens. `examples/edge.toml` shows all of it."""

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import AddressError, OptionError
from ..testing.ecu import file_addresses as addresses
from ..testing.ecu import file_values as values
from .access import Access, Client
from .listening import Listening, Tls
from .offer import Offer
from .wire import AnyAddress

_LONGEST = 1 << 24


@dataclass(frozen=True)
class Place:
    """Where a link is: on an interface, with the kernel's sockets or the engine, or on an adapter of python-can."""

    interface: str | None
    bus: str | None
    soft: bool
    fd: bool


MakeOffer = Callable[[Place, dict[str, Any]], Offer]
"""Makes an offer: where it is, and what the file says of it by the names that `Offer` has."""


@dataclass(frozen=True)
class Edge:
    """What an edge file says."""

    listening: Listening
    offers: tuple[Offer, ...]
    access: Access


def load_edge(path: "str | os.PathLike[str]", make: MakeOffer, insecure: bool = False) -> Edge:
    """What an edge file says.

    Args:
        path: a file in TOML.
        make: makes an offer of what it says about a link.
        insecure: whether others than programs of this machine may come without a certificate.

    Raises:
        OSError: it cannot be read.
        CarFileError: what it says cannot be.
        OptionError: it would let anybody in.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            table = values.Table(tomllib.loads(file.read(_LONGEST)), "")
        offers = table.take("link", values.list_of(lambda value, place: _offer(value, place, make), ", [[link]]"))
        clients = table.take("client", values.list_of(_client, ", [[client]]"), None)
        access = Access(clients)
        listening = Listening(
            listen=tuple(table.take("listen", values.one_or_list_of(values.text), ())),
            connect=tuple(table.take("connect", values.one_or_list_of(values.text), ())),
            tls=table.take("tls", lambda value, place: _tls(value, place, path.parent), None),
            insecure=insecure,
        )
        table.end()
    except ValueError as e:
        if isinstance(e, values.CarFileError | OptionError | AddressError):
            e.what = f"{path}: {e.what}"
            raise
        raise values.CarFileError(f"{path}: {e}") from None
    return Edge(listening, tuple(offers), access)


def _tls(value: Any, place: str, folder: Path) -> Tls:
    table = values.Table(value, place)
    ca, certificate, key = (str(folder / table.take(name, values.text)) for name in ("ca", "certificate", "key"))
    table.end()
    return Tls(ca, certificate, key)


def _client(value: Any, place: str) -> Client:
    table = values.Table(value, place)
    texts = values.one_or_list_of(values.text)
    client = Client(
        table.take("name", values.text),
        tuple(table.take("links", texts, ("**",))),
        table.take("listen_only", values.boolean, False),
        tuple(table.take("deny", texts, ())),
    )
    table.end()
    return client


def _offer(value: Any, place: str, make: MakeOffer) -> Offer:
    table = values.Table(value, place)
    link = table.take("name", values.text)
    table.call(link)
    where = Place(
        table.take("interface", values.text, None),
        table.take("bus", values.text, None),
        table.take("soft", values.boolean, False),
        table.take("fd", values.boolean, False),
    )
    texts = values.one_or_list_of(values.text)
    kinds = tuple(table.take("any", texts, ()))
    address: AnyAddress | None = None if kinds else addresses.address(table, link)
    said = {
        "link": link,
        "any": kinds,
        "address": address,
        "exclusive": table.take("exclusive", values.boolean, True),
        "options": tuple(table.take("options", texts, ())),
    }
    table.end()
    if (where.interface is None) == (where.bus is None):
        raise values.CarFileError(f"{link}: needed is interface, such as 'can0', or bus, such as 'pcan:PCAN_USBBUS1'")
    return make(where, said)
