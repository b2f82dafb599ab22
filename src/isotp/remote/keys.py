"""The keys in Zenoh: which link, and who asks. A chunk that begins with @ is matched by no wildcard.

isotp/garage/car7/engine/@by/alice          what alice asks of that link
isotp/garage/car7/engine/@by/alice/5f0c...  lives as long as a socket of alice
isotp/garage/car7/engine/@offer/...         lives as long as the link is offered; the address in words
isotp/garage/car7/engine/@held/alice        lives as long as alice holds it
"""

import getpass
import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from ..errors import AddressError

ROOT: Final = "isotp"
_CHUNK: Final = re.compile(r"[A-Za-z0-9_.:+=-]+")


def checked_link(link: str) -> str:
    """`link`, the name of a shared link.

    Raises:
        AddressError: it cannot be one.
    """
    if not isinstance(link, str) or not all(map(_CHUNK.fullmatch, link.split("/"))):
        raise AddressError(
            f"{link!r:.80} cannot name a link: allowed are letters, digits and _.:+=- with a / between the parts",
            remedy="say it like garage/car7/engine",
        )
    return link


def checked_pattern(pattern: str) -> str:
    """`pattern`, the name of a link, in which * is any part and ** any parts; see `checked_link`."""
    checked_link("/".join("any" if part in ("*", "**") else part for part in str(pattern).split("/")))
    return pattern


def asked_by(link: str, name: str) -> str:
    """The key of what `name` asks of `link`."""
    return f"{ROOT}/{link}/@by/{quoted(name)}"


def asked(link: str) -> str:
    """The keys of what anybody asks of `link`."""
    return f"{ROOT}/{link}/@by/*"


def alive(link: str, name: str, client: str) -> str:
    """The key that lives as long as a socket of `name`."""
    return f"{asked_by(link, name)}/{client}"


def offered(link: str, what: str) -> str:
    """The key that lives as long as `link` is offered; `what`: its address in words."""
    return f"{ROOT}/{link}/@offer/{quoted(what)}"


def held(link: str, name: str) -> str:
    """The key that lives as long as `name` holds `link`."""
    return f"{ROOT}/{link}/@held/{quoted(name)}"


class Parts(NamedTuple):
    """What a key says."""

    link: str
    kind: str
    """by, offer or held."""
    rest: list[str]


def parts(key: str) -> Parts:
    """What a key says; ValueError if it is none of ours."""
    root, _, rest = key.partition("/")
    link, at, tail = rest.partition("/@")
    if root != ROOT or not at:
        raise ValueError(f"not a key of a link: {key!r:.80}")
    kind, *others = tail.split("/")
    return Parts(link, kind, [unquote(one) for one in others])


def quoted(text: str) -> str:
    """`text` as one chunk of a key."""
    return quote(text, safe=" ()=,:+").replace("@", "%40")


def user_name() -> str:
    """The name of a client that has no certificate."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
