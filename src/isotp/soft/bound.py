"""Bound: the part of a `SoftEnd` that exists once it is bound, and runs in the driver's thread.

The hub has a weak reference to it, so a socket that is forgotten without `close` is still freed.
"""

import weakref
from collections.abc import Callable
from functools import partial

from ..address import Address, AsymmetricAddress
from ..engine.engine import Engine
from ..engine.events import Direction, Event, FirstFrameReceived, MessageReceived, MessageSent, TransferFailed
from ..errors import InterfaceError, IsoTpError, TransferAbortedError
from .inbox import Inbox
from .link import Link
from .outbox import Outbox


class Bound:
    """What a link belongs to, see `link.Owner`: it carries messages, outcomes and failures from and to the engine.

    Messages to send wait in the outbox until the engine is free. Messages that the engine receives go to the inbox.
    While the inbox is full the engine is not ready: it asks senders of long messages to wait, and drops single frames.

    Args:
        engine: the engine of the link.
        address: its address, as the application gave it.
        name: the link in words, for errors.
        inbox: gets what is received.
        on_event: called with every event of the engine; None: not called.
    """

    def __init__(
        self,
        engine: Engine,
        address: Address | AsymmetricAddress,
        name: str,
        inbox: Inbox,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self.engine = engine
        self.address = address
        self.name = name
        self.link = Link(engine, weakref.ref(self))
        self.outbox = Outbox(self.link, name)
        self._inbox = inbox
        self._on_event = on_event
        self.callback_error: BaseException | None = None
        """What a callback of the application has raised, until a call of the socket raises it."""

    def on_event(self, event: Event) -> None:
        """See `Owner`."""
        if isinstance(event, FirstFrameReceived):
            self._inbox.begin(self._time_ns(event))
        elif isinstance(event, MessageReceived):
            self._inbox.put(event.data, self._time_ns(event))
            if self._inbox.is_full:
                self.update_ready()
        elif isinstance(event, MessageSent):
            self._end_outgoing(None)
        elif isinstance(event, TransferFailed):
            event.error.link = self.name
            if event.direction is Direction.SENDING:
                self._end_outgoing(event.error)
            else:
                self._inbox.put_failure(event.error)
        if self._on_event is not None:
            self.link.hub.call_later(partial(self._call_back, self._on_event, event))
        self.outbox.begin_next()

    def _time_ns(self, event: FirstFrameReceived | MessageReceived) -> int:
        return self.link.hub.time_ns() if event.time_ns is None else event.time_ns

    def _end_outgoing(self, error: IsoTpError | None) -> None:
        self.outbox.end_outgoing(error)
        if self.outbox.is_closed:
            self._inbox.wake()  # `close` waits there

    def _call_back(self, callback: Callable[[Event], object], event: Event) -> None:
        try:
            callback(event)
        except BaseException as e:
            self.keep_callback_error(e)

    def keep_callback_error(self, error: BaseException) -> None:
        """A callback has raised `error`: a call of the socket raises it."""
        self.callback_error = error
        self._inbox.wake()

    def on_bus_failure(self, error: InterfaceError) -> None:
        """See `Owner`: what was under way is lost, and this is why."""
        self._take_events()  # what came before it
        error.link = self.name
        engine = self.engine
        was_sending, was_receiving = engine.is_sending, engine.is_receiving
        engine.reset()
        if was_sending:
            self._end_outgoing(error)
        if was_receiving or not was_sending:
            self._inbox.put_failure(error)
        self._inbox.wake()
        self.outbox.begin_next()

    def on_fork(self) -> None:
        """See `Owner`."""
        self._inbox.forked()

    def update_ready(self) -> None:
        """Let the engine know whether the inbox has room."""
        self.engine.set_ready(not self._inbox.is_full, self.link.hub.clock())
        self.link.hub.touch(self.link)

    def refuse_calls(self) -> None:
        """The socket is closed now: end the calls that wait in it. The message being sent goes on."""
        self.outbox.close()
        self._inbox.wake()

    def stop_sending(self, why: str) -> None:
        """Give up the message being sent; `why`, in words."""
        engine = self.engine
        if engine.is_sending:
            what = f"the message was given up after {engine.bytes_sent} bytes were sent: {why}"
            engine.abort(TransferAbortedError(what), Direction.SENDING)
        self._take_events()

    def _take_events(self) -> None:
        while (event := self.engine.next_event()) is not None:
            self.on_event(event)
