"""Finding: which links are offered in a network of Zenoh, and who holds them."""

from typing import TYPE_CHECKING, Final, NamedTuple

from . import keys

if TYPE_CHECKING:
    import zenoh

_TIMEOUT_S: Final = 5.0


class Found(NamedTuple):
    """A link that is offered."""

    link: str
    """Its name."""
    what: str
    """Its address, or the kinds of addresses that a client may say, in words."""
    holders: tuple[str, ...]
    """Who holds it."""


def find(session: "zenoh.Session", pattern: str = "**") -> list[Found]:
    """The links that are offered, in the order of their names.

    Args:
        session: of Zenoh.
        pattern: of their names, in which * is any part and ** any parts.

    Raises:
        AddressError: `pattern` cannot be one.
    """
    keys.checked_pattern(pattern)
    offers, holders = _alive(session, pattern, "offer"), _alive(session, pattern, "held")
    return [
        Found(link, what, tuple(sorted({name for held, name in holders if held == link})))
        for link, what in sorted(offers)
    ]


def _alive(session: "zenoh.Session", pattern: str, kind: str) -> set[tuple[str, str]]:
    found = set()
    for reply in session.liveliness().get(f"{keys.ROOT}/{pattern}/@{kind}/*", timeout=_TIMEOUT_S):
        if reply.ok is not None:
            try:
                said = keys.parts(str(reply.ok.key_expr))
            except ValueError:
                continue
            if said.kind == kind and len(said.rest) == 1:
                found.add((said.link, said.rest[0]))
    return found
