"""Calls: what a client asks its edge, and what the edge sends it."""

import asyncio
import contextlib
import itertools
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..errors import InterfaceDownError, InterfaceError, IsoTpError, SocketClosedError, UnknownOutcomeError
from . import keys, wire
from .inbox import RemoteInbox
from .lease import HOLD_S
from .sessions import ask

if TYPE_CHECKING:
    import zenoh

GIVE_UP_S: Final = 10.0
"""An edge that says nothing for so long is given up."""
OPEN_S: Final = 3.0
"""A link that nobody offers is looked for so long: what was declared takes its way through the network."""
_ASKED_S: Final = HOLD_S + 3.0  # longer than the edge keeps a question, and the way
_REST_S: Final = 0.1


class Calls:
    """The client's side of a lease, in the event loop of the worker.

    Args:
        session: of Zenoh.
        link: the name of the link.
        name: of the client.
        request: what to open.
        inbox: gets what arrives.
    """

    def __init__(self, session: "zenoh.Session", link: str, name: str, request: dict[str, Any], inbox: RemoteInbox):
        self._session, self._request, self._inbox = session, request, inbox
        self.link = link
        """The link in words."""
        self._key, self._alive = keys.asked_by(link, name), partial(keys.alive, link, name)
        self._be_new()
        self._numbers = itertools.count(1)
        self._received = 0
        self._is_closed = False
        self._running: set[asyncio.Task[Any]] = set()
        self._telling: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None
        self._edge_answers = True
        self._opening = asyncio.Lock()
        self._generation = 0
        self.dropped = 0

    # --- one question

    def _be_new(self) -> None:
        """Be somebody whom the edge does not know. What was asked before is asked about in the old name."""
        self._client = secrets.token_hex(12)
        self._token = self._session.liveliness().declare_token(self._alive(self._client))

    async def _ask(self, header: dict[str, Any], data: bytes = b"", client: str | None = None) -> dict[str, Any] | None:
        """The answer, or None: the edge said nothing."""
        said: list[dict[str, Any]] = []
        full = {"c": client or self._client, **header}
        await ask(self._session, self._key, full, data, _ASKED_S, lambda header, _: said.append(header))
        return said[0] if said else None

    # --- opening

    async def open(self) -> dict[str, Any]:
        """Open the socket at the edge, and receive from now on."""
        opened = await self._open()
        self._taking = asyncio.create_task(self._receive())
        return opened

    async def _open(self) -> dict[str, Any]:
        said = await self._answer({"op": "open", **self._request})
        if said is None or not isinstance(said.get("ok"), dict):
            self._raise(said)
        assert said is not None
        opened: dict[str, Any] = said["ok"]
        return opened

    async def _answer(self, header: dict[str, Any]) -> dict[str, Any] | None:
        until = asyncio.get_running_loop().time() + OPEN_S
        while (said := await self._ask(header)) is None and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_REST_S)
        return said

    def _raise(self, said: dict[str, Any] | None) -> None:
        if said is not None and isinstance(said.get("error"), dict):
            raise wire.to_error(said["error"], self.link)
        raise InterfaceDownError(
            f"nobody offers {self.link}, or lets us ask for it",
            remedy="isotp remote list shows what is offered",
        )

    async def _open_again(self, generation: int) -> None:
        """The edge does not know us any more: it was restarted, or took us for gone."""
        async with self._opening:
            if self._generation == generation:
                self._token.undeclare()
                self._be_new()
                await self._open()
                self._generation += 1
                self._received = 0

    # --- calls

    async def call(self, kind: str, data: bytes = b"", **given: Any) -> dict[str, Any]:
        """Make a call at the edge, once, and return what it returns.

        Raises:
            UnknownOutcomeError: the edge cannot be asked whether it has made the call.
            OSError: what the call raised there.
        """
        if self._is_closed:
            raise _closed()
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        number = next(self._numbers)
        try:
            return await self._call(kind, number, data, given)
        except asyncio.CancelledError:
            if self._is_closed:
                raise _closed() from None
            self._tell({"op": "cancel", "of": number})  # where we are new since, its lease has ended anyway
            raise
        finally:
            self._running.discard(task)

    async def _call(self, kind: str, number: int, data: bytes, given: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        first = question = {"op": kind, "n": number, **given}
        silent_since: float | None = None
        generation, client = self._generation, self._client
        while True:
            if question is first:
                generation, client = self._generation, self._client
            said = await self._ask(question, data if question is first else b"", client)
            if said is None:
                silent_since = silent_since or loop.time()
                if loop.time() - silent_since > GIVE_UP_S:
                    raise self._unknown(kind, "the edge does not answer")
                await asyncio.sleep(_REST_S)
            elif "stranger" in said:
                if question is not first:
                    raise self._unknown(kind, "the edge was restarted meanwhile, or has ended our lease")
                await self._open_again(generation)  # this call was not made
                continue
            elif "never" in said:  # it did not come, and will not be made if it still comes
                number = next(self._numbers)
                question = first = first | {"n": number}
                continue
            elif "running" in said:
                silent_since = None
            elif isinstance(said.get("ok"), dict):
                result: dict[str, Any] = said["ok"]
                return result
            else:
                self._raise(said)
            question = {"op": "outcome", "of": number}

    def _unknown(self, kind: str, why: str) -> IsoTpError:
        if kind == "send":
            return UnknownOutcomeError(
                f"whether the message was sent cannot be known: {why}",
                link=self.link,
                remedy="ask the ECU about its state before you send it again",
            )
        return InterfaceDownError(f"{kind}: {why}", link=self.link)

    def _tell(self, header: dict[str, Any]) -> None:
        """Say something that has no answer."""
        task = asyncio.get_running_loop().create_task(self._ask(header))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def abort(self) -> None:
        """Give up what is being sent."""
        self._tell({"op": "abort", "n": next(self._numbers)})

    async def begins(self, within: float) -> int:
        """The number of a message that has begun in time; see `Lease`; 0: none."""
        if self._inbox:
            return self._received
        return int((await self.call("begins", within=within, after=self._received))["number"])

    def has(self, number: int) -> bool:
        """Whether what has this number was received."""
        return self._received >= number

    # --- receiving

    def has_room(self) -> None:
        """The inbox was full and is not any more."""
        self._room.set()

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        silent_since: float | None = None
        is_told = False
        while True:
            ended = await self._take()
            if ended is None:
                silent_since = silent_since or loop.time()
                if not is_told and loop.time() - silent_since > GIVE_UP_S:
                    is_told = True
                    self._inbox.put_failure(
                        InterfaceDownError("the edge does not answer; we go on asking", link=self.link)
                    )
                await asyncio.sleep(_REST_S)
                continue
            silent_since = None
            if "stranger" in ended:
                await self._come_back()
            elif "error" in ended:
                self._inbox.put_failure(_failure(wire.to_error(ended["error"], self.link)))
                await asyncio.sleep(1.0)
            is_told = False

    async def _come_back(self) -> None:
        try:
            await self._open_again(self._generation)
        except IsoTpError as e:
            self._inbox.put_failure(e)
            await asyncio.sleep(1.0)
        else:
            self._inbox.put_failure(
                InterfaceError(
                    "the edge was restarted, or had lost us: what arrived meanwhile is lost; the socket goes on",
                    link=self.link,
                )
            )

    async def _take(self) -> dict[str, Any] | None:
        """Take what arrives until the edge pauses; returns its last word, None: it did not get to say one."""
        last: list[dict[str, Any]] = []
        generation = self._generation

        def take(said: dict[str, Any], data: bytes) -> None:
            if "n" not in said:
                last.append(said)
            elif generation == self._generation and said["n"] == self._received + 1:  # else it is taken again
                self._received = said["n"]
                if "error" in said:
                    self._inbox.put_failure(_failure(wire.to_error(said["error"], self.link)))
                else:
                    self._inbox.put_message(wire.to_message(said, data))

        room = self._inbox.room
        header = {"c": self._client, "op": "take", "after": self._received, "room": room}
        self._room.clear()
        asked = asyncio.ensure_future(ask(self._session, self._key, header, b"", _ASKED_S, take))
        has_room = asyncio.ensure_future(self._room.wait())
        waits = {asked} if room else {asked, has_room}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            has_room.cancel()
            if not asked.done():
                asked.cancel()
                last.append({"end": True})
        if last and isinstance(last[-1].get("dropped"), int):
            self._inbox.dropped = max(self._inbox.dropped, last[-1]["dropped"])
        return last[-1] if last else None

    # --- the end

    async def close(self, linger: float | None) -> dict[str, Any]:
        """End all calls, and close the socket at the edge; returns its last word."""
        self._is_closed = True
        for task in list(self._running):
            task.cancel()
        self._inbox.wake()
        said: dict[str, Any] | None = None
        with contextlib.suppress(OSError):
            said = await self._call_once({"op": "close", "n": next(self._numbers), "linger": linger})
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._telling:
            await asyncio.wait(set(self._telling), timeout=1.0)
        self._token.undeclare()
        return said or {}

    async def _call_once(self, header: dict[str, Any]) -> dict[str, Any]:
        said = await self._ask(header)
        while said is not None and "running" in said:
            said = await self._ask({"op": "outcome", "of": header["n"]})
        return said["ok"] if said is not None and isinstance(said.get("ok"), dict) else {}


def _closed() -> SocketClosedError:
    return SocketClosedError("the socket is closed")


def _failure(error: OSError) -> IsoTpError:
    return error if isinstance(error, IsoTpError) else IsoTpError(str(error))
