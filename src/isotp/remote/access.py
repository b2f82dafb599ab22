"""Access: who may do what with which links; the edge asks it, and a router's access control is made of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ..errors import ForbiddenError, OptionError
from . import keys
from .lease import Rights

_SERVICES: Final = re.compile(r"([0-9A-Fa-f]{2})(?:-([0-9A-Fa-f]{2}))?")


@dataclass(frozen=True)
class Client:
    """What one client may do.

    Args:
        name: the common name of its certificate; without TLS the name that it says, which anybody can say.
        links: names of links, in which * is any part and ** any parts.
        listen_only: it may not send.
        deny: first bytes of messages that it may not send, hexadecimal, such as "2E" or "34-37".
    """

    name: str
    links: tuple[str, ...] = ("**",)
    listen_only: bool = False
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in self.links:
            keys.checked_pattern(pattern)
        services(self.deny)

    def may_use(self, link: str) -> bool:
        """Whether it may use this link at all."""
        return any(_matches(pattern.split("/"), link.split("/")) for pattern in self.links)


def _matches(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(pattern[1:], parts) or (bool(parts) and _matches(pattern, parts[1:]))
    return bool(parts) and pattern[0] in ("*", parts[0]) and _matches(pattern[1:], parts[1:])


def services(ranges: Iterable[str]) -> frozenset[int]:
    """The bytes that `ranges` names, such as ("2E", "34-37").

    Raises:
        OptionError: one of them is none.
    """
    found: set[int] = set()
    for text in ranges:
        match = _SERVICES.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[1], 16) > int(match[2] or match[1], 16):
            raise OptionError(f"deny: {text!r} is no service: needed is one such as '2E', or a range such as '34-37'")
        found.update(range(int(match[1], 16), int(match[2] or match[1], 16) + 1))
    return frozenset(found)


class Access:
    """Who may do what.

    Args:
        clients: those that are known; None: everybody may do everything, which is for this machine only.
    """

    def __init__(self, clients: Iterable[Client] | None = None) -> None:
        self._clients = None if clients is None else {client.name: client for client in clients}

    @property
    def is_open(self) -> bool:
        """Whether everybody may do everything."""
        return self._clients is None

    def rights(self, name: str, link: str) -> Rights:
        """What `name` may do with `link`.

        Raises:
            ForbiddenError: nothing.
        """
        if self._clients is None:
            return Rights(False, "", frozenset())
        client = self._clients.get(name)
        if client is None or not client.may_use(link):
            raise ForbiddenError(
                f"{name} may not use {link}", remedy="ask the owner of the edge for a [[client]] in its file"
            )
        why = "the owner of this link lets you only listen" if client.listen_only else ""
        return Rights(client.listen_only, why, services(client.deny))

    def control(self, edges: Iterable[str] = ()) -> dict[str, Any]:
        """The access control of a router of Zenoh: each certificate may ask in its own name only.

        `edges`: common names of the certificates of edges that connect to that router.
        """
        rules: list[dict[str, Any]] = []
        subjects, policies = [], []

        def allow(name: str, number: str, flow: str, messages: list[str], patterns: list[str]) -> None:
            ids = f"{name} {number}"
            rules.append({
                "id": ids, "permission": "allow", "flows": [flow], "messages": messages, "key_exprs": patterns,
            })  # fmt: skip
            policies.append({"rules": [ids], "subjects": [name]})

        root = keys.ROOT
        seen = [f"{root}/**/@offer/*", f"{root}/**/@held/*"]
        for client in (self._clients or {}).values():
            links = [f"{root}/{pattern}" for pattern in client.links]
            mine = [f"{link}/@by/{keys.quoted(client.name)}" for link in links]
            subjects.append({"id": client.name, "cert_common_names": [client.name]})
            allow(client.name, "asks", "ingress", ["query"], mine)
            allow(client.name, "lives", "ingress", ["liveliness_token"], [f"{one}/*" for one in mine])
            allow(client.name, "looks", "ingress", ["liveliness_query", "declare_liveliness_subscriber"], seen)
            allow(client.name, "hears", "egress", ["reply", "declare_queryable"], [f"{link}/@by/*" for link in links])
            allow(client.name, "sees", "egress", ["liveliness_token"], seen)
        for edge in edges:
            subjects.append({"id": edge, "cert_common_names": [edge]})
            for flow in ("ingress", "egress"):
                everything = ["query", "reply", "declare_queryable", "liveliness_token", "liveliness_query",
                              "declare_liveliness_subscriber"]  # fmt: skip
                allow(edge, flow, flow, everything, [f"{root}/**", f"{root}/**/@by/**", *seen])
        return {
            "enabled": True, "default_permission": "deny", "rules": rules, "subjects": subjects, "policies": policies,
        }  # fmt: skip
