"""RemoteSocket: the interface of isotp.socket, over a link that an edge shares."""

import threading
import warnings
from collections.abc import Coroutine
from typing import Any, TypeVar

from ..address import Address, AsymmetricAddress
from ..deadline import NEVER, Deadline
from ..sockets import LINGER_S, IsoTpSocket, ReceivedMessage
from ..soft.request import Wakeup
from .end import INBOX_BYTES, RemoteEnd
from .inbox import RemoteArrival
from .worker import WORKER, result_of

T = TypeVar("T")


class RemoteSocket(IsoTpSocket):
    """An ISO-TP socket on a link of another machine, which an edge shares (`isotp share`).

    Set options as far as the owner of the link allows, then `bind()`, then `send` and `recv`, as with `isotp.socket`.
    The edge does the protocol, with its timing; messages travel. A message is sent on the bus at most once: `send`
    returns what the edge says of it, or raises UnknownOutcomeError where the edge cannot be asked any more.

    A call that does not wait (timeout 0, MSG_DONTWAIT) still asks the edge: it takes the time of the network.

    Args:
        where: a `zenoh.Session`; or the configuration of one: a `zenoh.Config`, a file, a dict of settings by their
            paths; None: the file in ZENOH_CONFIG, or an edge on this machine.
        link: the name of the link, such as "garage/car7/engine".
        timeout: seconds that calls may wait; None: without limit, 0: not at all.
        name: who we are; left out: the common name of our certificate, or else of the user.
        rcvbuf: bytes of messages to keep until they are read; then the edge keeps them, with what its socket has.
        watch_begin: for `begins_within`, where the edge has the kernel's sockets.
        linger: seconds that a message being sent may stand still while `close` waits for it.

    Raises:
        UnavailableError: eclipse-zenoh is not installed.
        AddressError: `link` cannot be the name of a link.
    """

    _end: RemoteEnd

    def __init__(
        self,
        where: Any,
        link: str,
        timeout: float | None = None,
        *,
        name: str | None = None,
        rcvbuf: int = INBOX_BYTES,
        watch_begin: bool = False,
        linger: float | None = LINGER_S,
    ) -> None:
        super().__init__(RemoteEnd(where, link, name, rcvbuf, watch_begin), timeout, linger)
        self._close_lock = threading.Lock()

    def bind(
        self,
        interface: "str | Address | AsymmetricAddress | None" = None,
        address: "Address | AsymmetricAddress | None" = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
    ) -> None:
        """Open the link at the edge; without arguments where the link has an address. See `AnySocket.bind`.

        Raises:
            BusyError: another client holds the link.
            ForbiddenError: its owner does not let us.
            InterfaceDownError: nobody offers it.
        """
        if all(one is None for one in (interface, address, rxid, txid)):
            self._end.bind(None, None)
        else:
            super().bind(interface, address, rxid=rxid, txid=txid)

    def fileno(self) -> int:
        """A file descriptor for select and the like, readable when a message waits; -1 once closed."""
        return -1 if self._end.closed else self._end.inbox.fileno()

    # --- sending

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._end.submit(work)
        try:
            return result_of(future)
        except BaseException:
            if not future.done():
                self._end.give_up(future)
            raise

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """See `IsoTpSocket`."""
        message, deadline = bytes(memoryview(data)), self._deadline(flags)
        self._end.check_sends()
        self._run(self._end.send(message, 0.0 if deadline.is_now else self.gettimeout(), confirm))
        return len(message)

    def confirm(self) -> None:
        """See `IsoTpSocket`."""
        self._end.check_open()
        if self.bound:
            self._run(self._end.confirm(self.gettimeout()))

    def abort(self) -> None:
        """See `AnySocket`."""
        self._end.abort()

    # --- receiving

    def recv(self, bufsize: int | None = None, flags: int = 0, *, begins_within: float | None = None) -> bytes:
        """See `IsoTpSocket`."""
        return self._receive(bufsize, flags, begins_within).data

    def recv_message(self, flags: int = 0, *, begins_within: float | None = None) -> ReceivedMessage:
        """See `IsoTpSocket`."""
        message = self._receive(None, flags, begins_within)
        self._end.know_dropped(message)
        return message

    def _receive(self, bufsize: int | None, flags: int, begins_within: float | None) -> ReceivedMessage:
        end = self._end
        arrival = RemoteArrival(end.inbox, end.link, self.gettimeout(), flags, begins_within)
        end.check_receives()
        if (message := end.take(bufsize, flags)) is not None:
            return message
        end.warn_of_dropped()
        wakeup, deadline, number = Wakeup(), Deadline.after(arrival.seconds), 0
        end.inbox.waiters[wakeup] = None
        try:
            if arrival.asks:
                number, deadline = self._run(end.begins(arrival.seconds or 0.0)), NEVER
            while True:
                is_late = deadline.has_passed() or (arrival.asks and end.has(number))
                if (message := end.take(bufsize, flags)) is not None:
                    return message
                end.check_usable()
                if is_late:
                    raise arrival.too_late()
                wakeup.wait(deadline.left())
        finally:
            end.inbox.waiters.pop(wakeup, None)

    # --- closing

    def close(self) -> None:
        """See `AnySocket`."""
        with self._close_lock:
            if (closing := self._end.closing(self._linger)) is not None:
                try:
                    result_of(closing)
                finally:
                    WORKER.join()

    def __del__(self) -> None:
        if "_end" in self.__dict__ and self.bound and not self.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self._end.closing(0)
