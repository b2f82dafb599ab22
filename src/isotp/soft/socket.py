"""SoftSocket: the interface and the guarantees of isotp.socket, over the engine."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

from ..bus.base import Bus
from ..deadline import Deadline
from ..engine.events import Event
from ..engine.params import Params
from ..sockets import LINGER_S, IsoTpSocket, ReceivedMessage
from .driver import Driver
from .end import INBOX_BYTES, SoftEnd, checked_bus
from .options import EngineFields
from .outbox import Outbox
from .request import Outgoing, Request, Wakeup
from .thread_driver import ThreadDriver
from .waits import Arrival, waits_for


class SoftSocket(IsoTpSocket):
    """An ISO-TP socket in user space, for where the kernel has none.

    Set options, then `bind`, then `send` and `recv`, as with `isotp.socket`. Every send is confirmed unless asked
    otherwise, and every failure is raised by the call it belongs to. Threads may share it.

    Args:
        bus: where its frames go: `VirtualBus`, `SocketCanBus`, `PythonCanBus`, or your own (`isotp.bus.Bus`). Any
            number of sockets may share it.
        timeout: seconds that `recv` may wait, that `send` may wait for its turn, and that a transfer may stand still;
            None: without limit, 0: calls do not wait at all.
        rcvbuf: bytes of messages to keep until they are read; if they are more, senders are asked to wait.
        linger: seconds that a message being sent may stand still while `close` waits for it; then it is given up, with
            an UnconfirmedSendWarning. None: without limit, 0: `close` does not wait.
        on_event: called with every event of the engine (`isotp.engine`), such as progress, or a frame of this link that
            was ignored. It runs in the thread of the bus and must not wait; the socket's next call raises what it
            raises.
        accept: called with the length of each message of several frames when it begins, unless that is above
            `max_pdu_size`; False refuses it: flow control OVFLW, and the sender's `send` raises BufferOverflowError.
            It runs as `on_event` does, and must not use the socket. Kernel sockets do not have it: there only the
            kernel's limit refuses messages.

    Raises:
        TypeError: `bus` is no bus.
        OptionError: `rcvbuf` is no number of bytes.
    """

    _end: SoftEnd[Driver]
    _driver_kind: type[Driver] = ThreadDriver

    def __init__(
        self,
        bus: Bus,
        timeout: float | None = None,
        *,
        rcvbuf: int = INBOX_BYTES,
        linger: float | None = LINGER_S,
        on_event: Callable[[Event], object] | None = None,
        accept: Callable[[int], bool] | None = None,
    ) -> None:
        super().__init__(SoftEnd(checked_bus(bus), self._driver_kind, rcvbuf, on_event, accept), timeout, linger)

    @property
    def bus(self) -> Bus:
        """The bus it was made for."""
        return self._end.bus

    def set_engine_opts(self, **fields: Unpack[EngineFields]) -> Params:
        """Set options that only the engine has; what is left out keeps its value.

        Args:
            fields: `n_as_ns`, `n_ar_ns`, `n_bs_ns`, `n_br_ns`, `n_cr_ns` (time limits in nanoseconds), `max_pdu_size`
                and `tx_max_pdu_size` (bytes), `tx_min_dl` (length of the shortest frame sent; shorter ones are padded),
                `progress_step` (bytes between two Progress events); see `isotp.engine.Params`.

        Raises:
            OptionError: a value out of range, or two that contradict each other. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        return self._end.set_engine_opts(**fields)

    def get_engine_opts(self) -> Params:
        """All parameters as the engine has them; times in nanoseconds."""
        return self._end.get_engine_opts()

    def fileno(self) -> int:
        """A file descriptor for select and the like, readable when a message waits; -1 once closed."""
        return -1 if self._end.closed else self._end.inbox.fileno()

    # --- sending

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """See `IsoTpSocket`."""
        end, deadline = self._end, self._deadline(flags)
        is_awaited = (confirm or end.awaits_each) and not deadline.is_now
        outgoing = Outgoing(bytes(memoryview(data)), self._new_wakeup(), is_awaited)
        driver, outbox = end.ready_to_send()
        self._ask(driver, outbox, outgoing, deadline)
        return len(outgoing.data)

    def confirm(self) -> None:
        """See `IsoTpSocket`."""
        deadline = self._deadline()
        self._end.check_usable()
        if self.bound:
            self._ask(*self._end.ready_to_send(), Request(self._new_wakeup()), deadline)

    def _ask(self, driver: Driver, outbox: Outbox, request: Request[Wakeup], deadline: Deadline) -> None:
        """Wait until `request` is done, and raise its failure."""
        end, cancel = self._end, partial(outbox.cancel, request)
        try:
            driver.post(partial(outbox.submit, request, not deadline.is_now))
            for seconds in waits_for(outbox, request, deadline, partial(driver.call, cancel), self._clock.monotonic):
                end.check_open()
                end.check_may_wait()
                request.wakeup.wait(seconds)
            if not request.is_done:
                raise TimeoutError(outbox.still_sending(request))
            if request.is_awaited or not request.has_begun:  # else `confirm` raises it
                request.raise_failure()
        finally:
            request.is_awaited = False
            if not request.has_begun:
                driver.post(cancel)

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
        arrival = Arrival(end.inbox, end.link, self.gettimeout(), flags, begins_within, self._deadline_after)
        end.check_receives()
        message = end.take(bufsize, flags)
        if message is not None:
            return message
        end.warn_of_dropped()
        wakeup = self._new_wakeup()
        end.inbox.waiters[wakeup] = None
        try:
            while True:
                left_s = arrival.left()
                message = end.take(bufsize, flags)
                if message is not None:
                    return message
                end.check_usable()
                if left_s == 0:
                    raise arrival.too_late()
                end.check_may_wait()
                wakeup.wait(left_s)
        finally:
            end.inbox.waiters.pop(wakeup, None)

    # --- waiting

    def _new_wakeup(self) -> Wakeup:
        """Where a call waits."""
        return Wakeup()

    # --- closing

    def close(self) -> None:
        """See `AnySocket`.

        Called in a callback it does not wait: a message that is being sent is given up.
        """
        end = self._end
        if end.has_left:
            return
        why = "close was interrupted"
        wakeup = self._new_wakeup()
        end.inbox.waiters[wakeup] = None
        try:
            end.refuse_calls()
            if end.is_in_callback:
                why = "a callback closed it"
            else:
                for seconds in end.waits_for_end(self._linger, self._clock.monotonic):
                    wakeup.wait(seconds)
                why = f"nothing of it was sent for {self._linger:g} s"
        finally:
            end.inbox.waiters.pop(wakeup, None)
            end.leave(why)

    def __del__(self) -> None:
        if "_end" in self.__dict__ and self.bound and not self._end.has_left:
            text = f"unclosed {self!r}"
            self._end.abandon()
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)
