"""Outbox: what is to be sent on a link, and the failures that no call has raised yet.

All of it runs in the driver's thread.
"""

import errno
from collections import deque
from collections.abc import Iterator
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
        self._requests: deque[Request[Any]] = deque()  # those that have not begun, the first one at the left
        self._outgoing: Outgoing[Any] | None = None  # the message that the engine is sending
        self._failed: list[Request[Any]] = []  # those that failed, until a call has raised it
        self._unconfirmed = UnconfirmedFailures()
        self._is_closed = False

    def submit(self, request: Request[Any], may_wait: bool) -> None:
        """Queue `request`; without `may_wait` it begins now or fails."""
        if self._is_closed:
            request.end(self.closed_error())
            return
        self._requests.append(request)
        self.begin_next()
        if not (may_wait or request.has_begun or request.has_ended):
            self._requests.remove(request)
            request.end(BlockingIOError(errno.EAGAIN, self.still_sending()))

    def cancel(self, request: Request[Any]) -> bool:
        """Forget a request that has not begun; False if it has."""
        if request not in self._requests:
            return False
        self._requests.remove(request)
        return True

    def close(self) -> None:
        """End the calls that wait. The message being sent goes on, unawaited."""
        self._is_closed = True
        while self._requests:
            self._requests.popleft().end(self.closed_error())
        if self._outgoing is not None:
            self._outgoing.wakeup.wake()

    def begin_next(self) -> None:
        """Begin the next requests, until one waits for the engine."""
        engine, hub = self._link.engine, self._link.hub
        while self._requests and self._outgoing is None:  # the engine may be idle before its event has been handled
            request = self._requests[0]
            if isinstance(request, Outgoing) and engine.params.half_duplex and engine.is_receiving:
                return
            self._requests.popleft()
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

    @property
    def is_sending(self) -> bool:
        """Whether the engine is sending a message."""
        return self._link.engine.is_sending

    def still_sending(self) -> str:
        """Why a message waits to be sent, in words."""
        if (outgoing := self._outgoing) is not None:
            return f"an earlier message ({len(outgoing.data)} bytes) is still being sent on {self._name}"
        return f"a message is still being received on {self._name}"

    def closed_error(self) -> SocketClosedError:
        """The error of a call on a closed socket."""
        return SocketClosedError("the socket is closed", link=self._name)

    def patience(self) -> Iterator[float]:
        """How `close` waits for the message being sent: as long as it makes progress.

        Yields how many seconds to wait for its end before the next item. If the message is still being sent after the
        last item, it has to be given up: the receiver only sends WAITs, for which there is no time limit.
        """
        engine, hub = self._link.engine, self._link.hub
        params = engine.params
        longest_ns = params.n_as_ns + params.n_bs_ns + max(_LONGEST_STMIN_NS, params.forced_tx_stmin_ns or 0)
        done, since_ns = -1, 0
        while self.is_sending and not hub.has_failed:
            now_ns = hub.clock()
            if engine.bytes_sent != done:
                done, since_ns = engine.bytes_sent, now_ns
            left_ns = since_ns + longest_ns - now_ns
            if left_ns <= 0:
                return
            yield left_ns / 1e9
