"""RemoteEnd: all that `RemoteSocket` and `AsyncRemoteSocket` have in common."""

import contextlib
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar, Unpack

from .. import errors
from ..address import Address, AsymmetricAddress
from ..errors import (
    AlreadyBoundError,
    InterfaceError,
    IsoTpError,
    IsoTpWarning,
    MessagesDroppedWarning,
    NotBoundError,
    OneWayError,
    SocketClosedError,
    warn,
)
from ..opts.optflags import flags
from ..opts.records import (
    FlowControlOptions,
    GeneralFields,
    GeneralOptions,
    LinkLayerOptions,
    LinkLayerProtocol,
    options_are_fixed,
)
from ..sockets import MSG_PEEK, ReceivedMessage, UnconfirmedFailures
from . import keys, sessions, wire
from .calls import Calls
from .inbox import RemoteInbox
from .worker import WORKER, result_of, submit

INBOX_BYTES: Final = 256 * 1024
T = TypeVar("T")


class RemoteEnd:
    """One end of a link that an edge shares.

    Args:
        where: a session of Zenoh, or the configuration of one.
        link: the name of the link.
        name: of this client; None: as its certificate says.
        rcvbuf: bytes of messages to keep until they are read.
        watch_begin: whether the edge watches for the begin of messages.
    """

    def __init__(self, where: Any, link: str, name: str | None, rcvbuf: int, watch_begin: bool) -> None:
        zenoh = sessions.load_zenoh()
        self.name = keys.checked_link(link)
        is_session = isinstance(where, zenoh.Session)
        self._session: Any = where if is_session else None
        self._config: Any = None if is_session else sessions.client_config(where)
        self._client = name or (keys.user_name() if is_session else sessions.name_in(self._config))
        self._watch_begin = watch_begin
        self.inbox = RemoteInbox(rcvbuf, self._has_room)
        self.closed = False
        self.calls: Calls | None = None
        self.unconfirmed = UnconfirmedFailures()
        self._loop: Any = None
        self._own_session: Any = None
        self._address: Address | AsymmetricAddress | None = None
        self._options: list[list[Any]] = []
        self._general, self._fc, self._ll = GeneralOptions(), FlowControlOptions(), LinkLayerOptions()
        self._dropped_warned = 0

    # --- see `sockets.End`

    @property
    def interface(self) -> str | None:
        """The name of the shared link, once bound."""
        return self.name if self._address is not None else None

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""
        return self._address

    @property
    def link(self) -> str:
        """The link in words, for errors."""
        return "an unbound socket" if self._address is None else f"{self.name} {self._address}"

    @property
    def dropped(self) -> int:
        """How many messages the edge has dropped, as far as it has said."""
        return self.inbox.dropped

    def set_general_opts(self, optflags: int | None, **fields: Unpack[GeneralFields]) -> GeneralOptions:
        """See `AnySocket`."""
        self._check_writable()
        self._general = self._general.changed(optflags, **fields)
        given = {"optflags": None if optflags is None else int(optflags), **fields}
        self._options.append(["general", {name: value for name, value in given.items() if value is not None}])
        return self._general

    def set_fc_opts(self, bs: int | None, stmin: int | None, wftmax: int | None) -> FlowControlOptions:
        """See `AnySocket`."""
        self._check_writable()
        self._fc = self._fc.changed(bs, stmin, wftmax)
        self._options.append(["fc", {"bs": bs, "stmin": None if stmin is None else int(stmin), "wftmax": wftmax}])
        return self._fc

    def set_ll_opts(self, mtu: int | None, tx_dl: int | None, tx_flags: int | None) -> LinkLayerOptions:
        """See `AnySocket`."""
        self._check_writable()
        self._ll = self._ll.changed(mtu, tx_dl, tx_flags)
        self._options.append(["ll", {"mtu": None if mtu is None else int(mtu), "tx_dl": tx_dl, "tx_flags": tx_flags}])
        return self._ll

    def get_general_opts(self) -> GeneralOptions:
        """See `AnySocket`."""
        self.check_open()
        return self._general

    def get_fc_opts(self) -> FlowControlOptions:
        """See `AnySocket`."""
        self.check_open()
        return self._fc

    def get_ll_opts(self) -> LinkLayerOptions:
        """See `AnySocket`."""
        self.check_open()
        return self._ll

    def _check_writable(self) -> None:
        self.check_open()
        if self._address is not None:
            raise options_are_fixed()

    # --- binding

    def bind(self, interface: str | None, address: Address | AsymmetricAddress | None) -> None:
        """Open the socket at the edge."""
        self.check_open()
        if self._address is not None:
            raise AlreadyBoundError("the socket is bound already", link=self.link)
        if interface not in (None, self.name):
            raise InterfaceError(f"this socket was made for {self.name!r}, not {interface!r}")
        session = sessions.open_session(self._config) if self._session is None else self._session
        self._own_session = session if self._session is None else None
        self._loop = WORKER.enter()
        try:
            opened = result_of(submit(self._loop, self._open(session, address)))
            self._take_over(opened)
            for name, text in opened["warnings"]:
                category = getattr(errors, name, IsoTpWarning)
                warn(text, category)
        except BaseException:
            self._let_go()
            raise

    async def _open(self, session: Any, address: Address | AsymmetricAddress | None) -> dict[str, Any]:
        request = {"address": wire.of_address(address), "options": self._options, "watch_begin": self._watch_begin}
        self.calls = Calls(session, self.name, self._client, request, self.inbox)
        return await self.calls.open()

    def _take_over(self, opened: dict[str, Any]) -> None:
        """Know what the edge has set."""
        general, fc, ll = opened["options"]
        self._general = GeneralOptions(**general | {"optflags": flags(general["optflags"])})
        self._fc = FlowControlOptions(**fc | {"stmin": self._fc.changed(stmin=fc["stmin"]).stmin})
        self._ll = LinkLayerOptions(**ll | {"mtu": LinkLayerProtocol(ll["mtu"])})
        self._address = wire.to_address(opened["address"])
        assert self.calls is not None
        self.calls.link = self.link

    def _let_go(self) -> None:
        """The socket could not be bound, or was not wanted after all."""
        if self.calls is not None:
            result_of(submit(self._loop, self.calls.close(0)))
        self.calls, self._address = None, None
        self._give_back()
        WORKER.join()

    def _give_back(self) -> None:
        """Give back what only a bound socket needs."""
        if self._own_session is not None:
            self._own_session.close()
        WORKER.leave()

    # --- for the calls of the socket

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run `work` where the calls are made."""
        return submit(self._loop, work)

    def give_up(self, future: "Future[Any]") -> None:
        """The call that waits for `future` was interrupted. What it does not raise, `confirm` does."""
        if not future.cancel() and future.done() and not future.cancelled():
            error = future.exception()
            if isinstance(error, IsoTpError) and not isinstance(error, SocketClosedError):
                self.unconfirmed.keep_failure(error)

    async def send(self, data: bytes, timeout: float | None, confirm: bool) -> None:
        """Let the edge send a message."""
        assert self.calls is not None
        awaits_each = bool(self._general.optflags & flags.WAIT_TX_DONE)
        await self.calls.call("send", data, timeout=timeout, confirm=(confirm or awaits_each) and timeout != 0)

    async def confirm(self, timeout: float | None) -> None:
        """Let the edge confirm what it has sent."""
        assert self.calls is not None
        await self.calls.call("confirm", timeout=timeout)
        if (failure := self.unconfirmed.take_failure()) is not None:
            raise failure

    async def begins(self, within: float) -> int:
        """The number of a message that is there or begins in time; 0: none."""
        assert self.calls is not None
        return await self.calls.begins(within)

    def has(self, number: int) -> bool:
        """Whether what has this number has arrived."""
        return self.calls is not None and self.calls.has(number)

    def check_open(self) -> None:
        """Raise SocketClosedError if the socket is closed."""
        if self.closed:
            raise SocketClosedError("the socket is closed", link=None if self._address is None else self.link)

    def check_usable(self) -> None:
        """Raise SocketClosedError or NotBoundError."""
        self.check_open()
        if self._address is None:
            raise NotBoundError("the socket is not bound", remedy="bind() first")

    def check_sends(self) -> None:
        """Raise if nothing can be sent."""
        self.check_usable()
        if self._address is not None and self._address.tx is None:
            raise OneWayError("this address only receives", link=self.link)

    def check_receives(self) -> None:
        """Raise if nothing can be received."""
        self.check_usable()
        if self._address is not None and (self._address.rx is None or self._general.optflags & flags.SF_BROADCAST):
            raise OneWayError(
                "this address only sends", link=self.link, remedy="receive the answers on one socket for each receiver"
            )

    def take(self, bufsize: int | None, msg_flags: int) -> ReceivedMessage | None:
        """The oldest message; None if there is none."""
        return self.inbox.take(bufsize, self.link, peek=bool(msg_flags & MSG_PEEK))

    def warn_of_dropped(self) -> None:
        """Warn of messages dropped since the last warning."""
        if (dropped := self.inbox.dropped) > self._dropped_warned:
            lost, self._dropped_warned = dropped - self._dropped_warned, dropped
            warn(f"{lost} message(s) were dropped on {self.link}: they were not read in time", MessagesDroppedWarning)

    def know_dropped(self, message: ReceivedMessage) -> None:
        """`message` was returned with the count of those dropped before it."""
        self._dropped_warned = max(self._dropped_warned, message.dropped)

    def _has_room(self) -> None:
        if self.calls is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.calls.has_room)

    def abort(self) -> None:
        """Give up the message being sent."""
        self.check_open()
        if self.calls is not None:
            self._loop.call_soon_threadsafe(self.calls.abort)

    # --- closing

    def closing(self, linger: float | None) -> "Future[None] | None":
        """The socket is closed now; returns what is done when the edge has closed its own; None: it is."""
        if self.closed:
            return None
        self.closed = True
        if self.calls is None:
            self.inbox.close()
            return None
        return self.submit(self._close(self.calls, linger))

    async def _close(self, calls: Calls, linger: float | None) -> None:
        said = await calls.close(linger)
        if isinstance(said.get("unconfirmed"), dict):
            error = wire.to_error(said["unconfirmed"], self.link)
            self.unconfirmed.keep_failure(error if isinstance(error, IsoTpError) else IsoTpError(str(error)))
        if isinstance(said.get("dropped"), int):
            self.inbox.dropped = max(self.inbox.dropped, said["dropped"])
        self._give_back()
        self.inbox.close()
        try:
            self.warn_of_dropped()
        finally:
            self.unconfirmed.warn_of_failures()
