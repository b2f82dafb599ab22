"""Outbox: what is to be sent on a link, and the failures that no call has raised yet.

All of it runs in the driver's thread, except what is marked.
"""

import errno
from typing import Any, Final

from ..errors import IsoTpError, SocketClosedError
from ..sockets import UnconfirmedFailures
from ..stmin import STmin
from .link import Link
from .request import Outgoing, Request

_LONGEST_STMIN_NS: Final = STmin(0x7F).ns


class Outbox:
    """The queue between the application and the engine: one message after the other.

    Args:
        link: on which the messages are sent.
        name: the link in words, for errors.
    """

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name
        self._requests: list[Request[Any]] = []  # those that have not begun, oldest first
        self._outgoing: Outgoing[Any] | None = None  # the message that the engine is sending
        self._failed: list[Request[Any]] = []  # those that failed, until a call has raised it
        self._unconfirmed = UnconfirmedFailures()
        self.is_closed = False
        """Whether the socket is closed: calls are refused, the message being sent goes on."""

    def submit(self, request: Request[Any], may_wait: bool) -> None:
        """Queue `request`; without `may_wait` it begins now or fails."""
        if self.is_closed:
            request.end(self.closed_error())
            return
        self._requests.append(request)
        self.begin_next()
        if not (may_wait or request.has_begun or request.has_ended):
            self._requests.remove(request)
            request.end(BlockingIOError(errno.EAGAIN, self.still_sending(request)))

    def cancel(self, request: Request[Any]) -> bool:
        """Forget a request that has not begun; False if it has."""
        if request not in self._requests:
            return False
        self._requests.remove(request)
        return True

    def close(self) -> None:
        """End the calls that wait. The message being sent goes on, unawaited."""
        self.is_closed = True
        while self._requests:
            self._requests.pop(0).end(self.closed_error())
        if self._outgoing is not None:
            self._outgoing.wakeup.wake()

    def begin_next(self) -> None:
        """Begin the next requests, until one waits for the engine."""
        engine, hub = self._link.engine, self._link.hub
        while self._requests and self._outgoing is None:  # the engine may be idle before its event has been handled
            request = self._requests[0]
            if isinstance(request, Outgoing) and engine.params.half_duplex and engine.is_receiving:
                return
            self._requests.pop(0)
            if self._failed:
                self._settle()
            if hub.has_failed:
                request.end(hub.failure())
            elif isinstance(request, Outgoing):
                self._send(request)
            else:
                self._end(request, self._unconfirmed.take_failure())

    def _send(self, outgoing: Outgoing[Any]) -> None:
        hub = self._link.hub
        try:
            self._link.engine.send(outgoing.data, hub.clock())
        except IsoTpError as e:
            e.link = self._name
            outgoing.end(e)
        else:
            self._outgoing = outgoing
            outgoing.begin()
            hub.touch(self._link)

    def end_outgoing(self, error: IsoTpError | None) -> None:
        """The message being sent has ended, well or badly."""
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            self._end(outgoing, error)

    def _end(self, request: Request[Any], error: IsoTpError | None) -> None:
        if error is not None:
            self._failed.append(request)
        request.end(error)

    def _settle(self) -> None:
        """Keep for `confirm` the failures that no call has raised and no call waits for."""
        open_ones = [request for request in self._failed if not request.was_raised]
        self._failed = [request for request in open_ones if request.is_awaited]
        for request in open_ones:
            if not request.is_awaited and isinstance(request.error, IsoTpError):
                self._unconfirmed.keep_failure(request.error)

    def warn_of_failures(self) -> None:
        """Warn of failures that no call has asked about, now that none can any more."""
        self._settle()
        self._unconfirmed.warn_of_failures()

    # --- for any thread

    def still_sending(self, request: Request[Any]) -> str:
        """Why `request` is not done, in words."""
        if isinstance(request, Outgoing) and request.has_begun:
            return (
                f"{len(request.data)} bytes are still being sent on {self._name}, and the receiver asks to wait; "
                "confirm() waits for the outcome"
            )
        if (outgoing := self._outgoing) is not None:
            return f"an earlier message ({len(outgoing.data)} bytes) is still being sent on {self._name}"
        return f"a message is still being received on {self._name}"

    def closed_error(self) -> SocketClosedError:
        """The error of a call on a closed socket."""
        return SocketClosedError("the socket is closed", link=self._name)

    @property
    def progress(self) -> tuple[object, int]:
        """What is being sent, and how many bytes of it are on the bus: this changes as long as sending gets on."""
        return self._outgoing, self._link.engine.bytes_sent

    @property
    def longest_pause_s(self) -> float:
        """For how many seconds `progress` may stay the same, unless the receiver sends WAITs."""
        params = self._link.engine.params
        stmin_ns = max(_LONGEST_STMIN_NS, params.forced_tx_stmin_ns or 0)
        return (params.n_as_ns + params.n_bs_ns + stmin_ns) / 1e9
