"""Who may have routing: the rules of ISO 13400-2 for an activation request."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from .codec import Activation
from .connection import Connection
from .settings import Permission

Confirm = Callable[[int, str], Awaitable[bool]]
"""Says whether the tester with this logical address, at this place, may have routing."""


class Routing:
    """The connections that have routing.

    Args:
        testers: who may have it.
        most: how many connections may have it at a time.
        is_plain: whether it can be had without TLS.
        confirm: asks for those that have to be confirmed; None: they are refused.
        say: prints a line.
    """

    def __init__(
        self,
        testers: Sequence[Permission],
        most: int,
        is_plain: bool,
        confirm: Confirm | None,
        say: Callable[[str], object],
    ) -> None:
        self._testers, self._most, self._is_plain = testers, most, is_plain
        self._confirm, self._say = confirm, say
        self._active: dict[int, Connection] = {}  # by the logical address of the tester

    def __len__(self) -> int:
        return len(self._active)

    def _tester(self, source: int) -> Permission | None:
        return next((each for each in self._testers if source in each.addresses), None)

    async def activate(self, client: Connection, source: int, kind: int) -> Activation:
        """Answer a request for it."""
        tester = self._tester(source)
        if tester is None:
            return Activation.UNKNOWN_SOURCE
        if client.tester is not None and client.source != source:
            return Activation.OTHER_SOURCE
        if kind not in tester.types:
            return Activation.UNSUPPORTED_TYPE
        if not client.is_tls and not self._is_plain:
            return Activation.NEEDS_TLS
        if tester.certificate is not None and client.certificate != tester.certificate:
            return Activation.NOT_AUTHENTICATED
        if client.tester is not None:
            return Activation.ACTIVATED
        found = await self._find_room(source)
        if found is not Activation.ACTIVATED:
            return found
        if tester.confirm:
            return Activation.NEEDS_CONFIRMATION
        return self._register(client, source, kind, tester)

    async def confirmed(self, client: Connection, source: int, kind: int) -> Activation:
        """Ask whether it may have it."""
        tester = self._tester(source)
        if tester is None or self._confirm is None or not await self._confirm(source, client.name):
            return Activation.NOT_CONFIRMED
        found = await self._find_room(source)  # others may have come meanwhile
        return self._register(client, source, kind, tester) if found is Activation.ACTIVATED else found

    async def _find_room(self, source: int) -> Activation:
        """Ask those that are in the way whether they are alive, until there is room, or all are."""
        while True:
            same = self._active.get(source)
            in_the_way = [same] if same else list(self._active.values()) if len(self) >= self._most else []
            if not in_the_way:
                return Activation.ACTIVATED
            alive = await asyncio.gather(*(each.is_alive() for each in in_the_way))
            if all(alive):
                return Activation.ACTIVE_ELSEWHERE if same else Activation.NO_SOCKET_LEFT
            for other in (each for each, is_alive in zip(in_the_way, alive, strict=True) if not is_alive):
                self.leave(other)
                other.cut_off("it does not answer an alive check")

    def _register(self, client: Connection, source: int, kind: int, tester: Permission) -> Activation:
        self._active[source] = client
        client.source, client.tester = source, tester
        shown = f", certificate of {client.certificate!r}" if client.certificate else ""
        self._say(f"{client.name} is tester {source:#06x}: routing is active, type {kind:#04x}{shown}")
        return Activation.ACTIVATED

    def leave(self, client: Connection) -> None:
        """It went."""
        if self._active.get(client.source) is client:
            del self._active[client.source]
