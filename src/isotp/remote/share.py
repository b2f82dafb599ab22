"""Share: the edge, which offers links of its buses to clients over Zenoh."""

import asyncio
import contextlib
import logging
import threading
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from ..errors import BusyError, ForbiddenError, InterfaceError, IsoTpError, OptionError, SocketClosedError
from ..opts.optflags import flags
from ..sockets import AsyncIsoTpSocket
from . import keys, wire
from .access import Access
from .lease import HOLD_S, SILENCE_S, Lease, Rights
from .offer import Offer
from .wire import AnyAddress

if TYPE_CHECKING:
    import zenoh

LOG: Final = logging.getLogger("isotp.remote")
_LEASES: Final = 4096
_LEASES_OF_ONE_LINK: Final = 64
_DEPARTED: Final = 1024
_QUESTIONS: Final = 10_000
_HELD_BYTES: Final = 1 << 28
_COMPLAINTS: Final = 10  # a minute

Who = tuple[str, str, str]


class Share:
    """Offers links over a session of Zenoh, until `close`.

    Use it in `async with`, in the event loop that its sockets belong to. It logs each use in "isotp.remote".

    Args:
        session: of Zenoh.
        offers: what it offers.
        access: who may do what; left out: everybody may do everything.
    """

    def __init__(self, session: "zenoh.Session", offers: Iterable[Offer], access: Access | None = None) -> None:
        self._session, self._access = session, access or Access()
        self._offers = {offer.link: offer for offer in offers}
        self._leases: dict[Who, Lease] = {}
        self._departed: OrderedDict[Who, Lease] = OrderedDict()
        self._streams: dict[Who, asyncio.Task[None]] = {}
        self._holders: dict[tuple[str, AnyAddress], tuple[str, Any, Lease]] = {}
        self._speakers: dict[tuple[str, AnyAddress], AsyncIsoTpSocket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._declared: list[Any] = []
        self._pending = self._held_bytes = self._complaints = 0
        self._counting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop

    # --- its beginning and its end

    async def __aenter__(self) -> Self:
        from zenoh.handlers import Callback

        self._loop = asyncio.get_running_loop()
        for link, offer in self._offers.items():
            self._declared += [
                self._session.declare_queryable(keys.asked(link), Callback(self._take, indirect=False), complete=True),
                self._session.liveliness().declare_token(keys.offered(link, offer.words)),
                self._session.liveliness().declare_subscriber(
                    f"{keys.asked(link)}/*", Callback(self._take_life, indirect=False)
                ),
            ]
        self._start(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Offer nothing any more; what is being sent goes on for a while."""
        for one in self._declared:
            one.undeclare()
        self._declared.clear()
        await asyncio.gather(*(self._end(who, "the edge ends") for who in list(self._leases)))
        while self._tasks:  # those that are cancelled may start others
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def holders(self) -> dict[str, str]:
        """Who holds each link that is held."""
        return {link: name for (link, _), (name, _, _) in self._holders.items()}

    # --- what comes, in threads of Zenoh

    def _take(self, query: "zenoh.Query") -> None:
        size = len(query.payload) if query.payload is not None else 0
        if self._pending >= _QUESTIONS or self._held_bytes + size > _HELD_BYTES:
            query.drop()  # the client asks again
            return
        with self._counting:
            self._pending += 1
            self._held_bytes += size
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._handle, query, size)

    def _take_life(self, sample: "zenoh.Sample") -> None:
        import zenoh

        if sample.kind == zenoh.SampleKind.DELETE:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._gone, str(sample.key_expr))

    # --- in the event loop

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _complain(self, text: str) -> None:
        self._complaints += 1
        if self._complaints <= _COMPLAINTS:
            LOG.warning("%s", text)

    async def _watch(self) -> None:
        """End the leases of clients that are silent."""
        while True:
            await asyncio.sleep(HOLD_S)
            now = self._loop.time()
            for who in [who for who, lease in self._leases.items() if now - lease.last_heard > SILENCE_S]:
                self._start(self._end(who, "it is silent"))
            if self._complaints > _COMPLAINTS:
                LOG.warning("and %d more such questions", self._complaints - _COMPLAINTS)
            self._complaints = 0

    def _gone(self, key: str) -> None:
        with contextlib.suppress(ValueError):
            link, kind, rest = keys.parts(key)
            if kind == "by" and len(rest) == 2 and (link, rest[0], rest[1]) in self._leases:
                self._start(self._end((link, rest[0], rest[1]), "it is gone"))

    async def _end(self, who: Who, why: str) -> None:
        lease = self._leases.get(who)
        if lease is None:
            return
        LOG.info("%s %s: ended, %s", who[1], who[0], why)
        await lease.end()
        self._forget(who, lease)

    def _forget(self, who: Who, lease: Lease) -> None:
        """The lease has ended; its outcomes are kept for a while."""
        if self._leases.get(who) is lease:
            del self._leases[who]
            self._departed[who] = lease
            while len(self._departed) > _DEPARTED:
                self._departed.popitem(last=False)
        for held, (_, token, holder) in list(self._holders.items()):
            if holder is lease:
                del self._holders[held]
                if token is not None:
                    token.undeclare()
        self._let_speakers_go()

    def _handle(self, query: "zenoh.Query", size: int) -> None:
        """Answer a question; the order in which they come is kept."""
        work = self._answered(query, size)
        if not self._declared:  # it is closed
            work(None)
            return
        try:
            link, kind, rest = keys.parts(str(query.key_expr))
            header = wire.unpack(query.attachment)
            client = header.get("c")
            if kind != "by" or len(rest) != 1 or not isinstance(client, str) or not 8 <= len(client) <= 64:
                raise ValueError("no client")
            data = bytes(query.payload) if query.payload is not None else b""
            answer = self._answer((link, rest[0], client), header, data, query)
        except Exception as e:  # whatever it is, it is the client's
            answer = {"error": wire.of_error(e)}
            self._complain(f"a question that is none, {query.key_expr!s:.100}: {e!s:.200}")
        if answer is None or isinstance(answer, dict):
            work(answer)
            return
        task = self._start(self._later(answer, work))
        if header.get("op") == "take":
            self._replace_stream((link, rest[0], str(client)), task)

    def _replace_stream(self, who: Who, task: "asyncio.Task[None]") -> None:
        """A client has one stream: the newest."""
        if (before := self._streams.get(who)) is not None:
            before.cancel()
        self._streams[who] = task

        def forget(_: object) -> None:
            if self._streams.get(who) is task:
                del self._streams[who]

        task.add_done_callback(forget)

    async def _later(self, answer: Any, work: Callable[[dict[str, Any] | None], None]) -> None:
        said: dict[str, Any] | None = None
        try:
            said = await answer
        except Exception as e:  # see above
            said = {"error": wire.of_error(e)}
        finally:
            work(said)

    def _answered(self, query: "zenoh.Query", size: int) -> Callable[[dict[str, Any] | None], None]:
        def work(said: dict[str, Any] | None) -> None:
            with self._counting:
                self._pending -= 1
                self._held_bytes -= size
            if said is not None:
                self._reply(query, said)
            query.drop()

        return work

    def _reply(self, query: "zenoh.Query", said: dict[str, Any], data: bytes = b"") -> None:
        with contextlib.suppress(Exception):  # the client is gone
            query.reply(query.key_expr, data, attachment=wire.pack(said), express=True)

    def _answer(self, who: Who, header: dict[str, Any], data: bytes, query: "zenoh.Query") -> Any:
        """What to answer, or what will make it."""
        kind, lease = header.get("op"), self._leases.get(who)
        if kind == "open":
            return self._open(who, header) if lease is None else lease.opened
        if kind == "outcome" and lease is None:
            lease = self._departed.get(who)
        if lease is None:
            return {"stranger": True}
        lease.last_heard = self._loop.time()
        if kind == "cancel":
            lease.cancel(wire.integer(header.get("of")))
            return None
        if kind == "take":
            after, room = wire.integer(header.get("after")), wire.integer(header.get("room"))
            return lease.stream(after, room, lambda said, data: self._reply(query, said, data))
        answer = lease.answer(header, data)
        return answer if isinstance(answer, dict) else self._ended_after(who, lease, answer)

    async def _ended_after(self, who: Who, lease: Lease, answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        said = await answer
        if lease.ended and self._leases.get(who) is lease:
            LOG.info("%s %s: closed", who[1], who[0])
            self._forget(who, lease)
        return said

    # --- opening

    def _open(self, who: Who, header: dict[str, Any]) -> dict[str, Any]:
        """Open a socket for a client. The client says which address and options; the owner has the last word."""
        link, name, _ = who
        try:
            rights = self._access.rights(name, link)
            offer = self._offers[link]
            address = offer.chosen(wire.to_address(header.get("address")))
            lease = self._leased(who, offer, address, rights, header)
        except (ForbiddenError, BusyError, OptionError) as e:
            LOG.warning("%s %s: refused, %s", name, link, e.what)
            return {"error": wire.of_error(e)}
        except (IsoTpError, Warning) as e:
            LOG.info("%s %s: not opened, %s", name, link, e)
            return {"error": wire.of_error(e)}
        self._leases[who] = lease
        LOG.info("%s %s: opened %s%s", name, link, address, ", listens" if lease.rights.listens else "")
        return lease.opened

    def _leased(self, who: Who, offer: Offer, address: AnyAddress, rights: Rights, header: dict[str, Any]) -> Lease:
        link, name, _ = who
        if len(self._leases) >= _LEASES or sum(one[0] == link for one in self._leases) >= _LEASES_OF_ONE_LINK:
            raise BusyError(f"{link}: there are too many sockets, at most {_LEASES_OF_ONE_LINK} of a link")
        options: list[list[Any]] = header.get("options") or []
        offer.check_options(options)
        asked = any(flags(given.get("optflags") or 0) & flags.LISTEN_MODE for _, given in options)
        listens = asked or rights.listens
        held = (link, address)
        if not listens and address.tx is not None and offer.exclusive and held in self._holders:
            raise BusyError(
                f"{link} is held by {self._holders[held][0]}",
                remedy="wait until it is free, or only listen: set_general_opts(optflags=LISTEN_MODE), "
                "isotp recv --listen",
            )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            is_alone = offer.exclusive or listens or address.tx is None
            speaker = None if is_alone else self._speaker(offer, address)
            sock = self._bound(offer, address, options, listens or not is_alone, bool(header.get("watch_begin")))
        log = partial(LOG.info, "%s %s: %s", name, link)
        lease = Lease(speaker or sock, sock, rights._replace(listens=listens), log)
        if not listens and address.tx is not None and offer.exclusive:
            token = None if held in self._holders else self._session.liveliness().declare_token(keys.held(link, name))
            self._holders[held] = (name, token, lease)
        lease.opened = {
            "ok": {
                "address": wire.of_address(address),
                "options": [vars_of(sock.get_general_opts()), vars_of(sock.get_fc_opts()), vars_of(sock.get_ll_opts())],
                "warnings": [[one.category.__name__, str(one.message)] for one in told],
            }
        }
        return lease

    def _speaker(self, offer: Offer, address: AnyAddress) -> AsyncIsoTpSocket:
        """The socket with which all send that share an address. Each has an ear of its own."""
        sock = self._speakers.get((offer.link, address))
        if sock is None:
            sock = self._speakers[offer.link, address] = self._bound(offer, address, [], False, False)
            self._start(_drain(sock))
        return sock

    def _let_speakers_go(self) -> None:
        used = [lease.sock for lease in self._leases.values()]
        for key, sock in list(self._speakers.items()):
            if not any(sock is one for one in used):
                del self._speakers[key]
                sock.close()
                self._start(sock.wait_closed())

    def _bound(
        self, offer: Offer, address: AnyAddress, options: list[list[Any]], listens: bool, watch_begin: bool
    ) -> AsyncIsoTpSocket:
        sock = offer.make(watch_begin)
        try:
            offer.configure(sock)
            if listens:
                sock.set_general_opts(sock.get_general_opts().optflags | flags.LISTEN_MODE)
            for which, given in options:
                setters: dict[str, Callable[..., object]] = {
                    "general": sock.set_general_opts, "fc": sock.set_fc_opts, "ll": sock.set_ll_opts,
                }  # fmt: skip
                setters[which](**given)
            sock.bind(offer.interface, address)
        except BaseException:
            sock.close()
            raise
        return sock


async def _drain(sock: AsyncIsoTpSocket) -> None:
    """Take what arrives: others have it, too."""
    while not sock.closed:
        try:
            await sock.recv_message()
        except SocketClosedError:
            return
        except InterfaceError:
            await asyncio.sleep(1.0)
        except OSError:
            continue


def vars_of(options: Any) -> dict[str, int]:
    """The fields of options as numbers."""
    return {name: int(getattr(options, name)) for name in options.__dataclass_fields__}
