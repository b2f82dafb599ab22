"""TransportLayerLogic: can-isotp 2's transport layer without threads: `process` does all the work."""

import inspect
import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

from ..address import Address, AsymmetricAddress, TargetAddressType
from ..engine.engine import Engine
from ..engine.events import Direction, Event, FrameIgnored, IgnoreReason, MessageReceived, MessageSent, TransferFailed
from ..engine.states import SenderState
from ..errors import (
    AddressError,
    BlockingSendFailure,
    BlockingSendTimeout,
    InterfaceError,
    IsoTpError,
    MessageSizeError,
    TransferError,
)
from ..soft.link import Link
from .can_message import CanMessage, RxFn, TxFn, to_frame, to_message
from .layer_engine import LayerEngine, functional_address, ignored_error
from .params import Params as LayerParams
from .send_request import ProcessStats as Stats
from .send_request import SendRequest as Request
from .tools import FiniteByteGenerator

T = TypeVar("T")
ErrorHandler = Callable[[Exception], object]
Payload = bytes | bytearray | memoryview | Iterable[int] | tuple[Iterator[int], int]


class _StoppedError(TransferError):
    """The application stopped the transfer: the error handler need not know."""


class _FunctionalLink(Link):
    def on_bus_failure(self, error: InterfaceError) -> None:
        """The physical link reports it."""


class TransportLayerLogic:
    """A transport layer without threads: call `process` often.

    Args:
        rxfn: returns the next CAN frame received, or None; it may wait, for the seconds that it is given.
        txfn: sends a CAN frame.
        address: of the link.
        error_handler: called with each IsoTpError.
        params: parameters by name, see `Params`.
        post_send_callback: called with each `SendRequest` that `send` has queued.

    Raises:
        AddressError: the address is a half.
        OptionError: a parameter that is not allowed.
    """

    LOGGER_NAME = "isotp"
    Params: TypeAlias = LayerParams
    SendRequest: TypeAlias = Request
    ProcessStats: TypeAlias = Stats
    clock = staticmethod(time.monotonic_ns)
    """Returns monotonic nanoseconds."""

    def __init__(
        self,
        rxfn: RxFn,
        txfn: TxFn,
        address: Address | AsymmetricAddress,
        error_handler: ErrorHandler | None = None,
        params: dict[str, Any] | None = None,
        post_send_callback: Callable[[Request], object] | None = None,
    ) -> None:
        self.params = LayerParams(self._follow_params)
        for name, value in (params or {}).items():
            self.params.set(name, value, validate=False)
        self.params.validate()
        self.set_rxfn(rxfn)
        self.txfn = txfn
        self.error_handler = error_handler
        self.post_send_callback = post_send_callback
        self.rx_queue: queue.Queue[bytearray] = queue.Queue()
        self.active_send_request: Request | None = None
        self._requests: deque[Request] = deque()
        self._stats = Stats()
        self._params_changed = False
        self._bus_failure = ""  # the last one, in words
        self._sleep_idle, self._sleep_wait_fc = 0.02, 0.005
        self.set_address(address)

    # --- set-up

    def set_rxfn(self, rxfn: RxFn) -> None:
        """Set what returns the CAN frames received. It need not take a timeout."""
        self.rxfn = rxfn
        try:
            inspect.signature(rxfn).bind(0.0)
        except TypeError:
            self.blocking_rxfn = False
        except ValueError:  # a function of C that does not say what it takes
            self.blocking_rxfn = True
        else:
            self.blocking_rxfn = True

    def receive_message(self, timeout: float) -> CanMessage | None:
        """Call `rxfn`, with `timeout` in seconds if it takes one."""
        return self.rxfn(timeout) if self.blocking_rxfn else self.rxfn()

    def set_address(self, address: Address | AsymmetricAddress) -> None:
        """Set the address; what is being sent and received is given up.

        Raises:
            AddressError: it is a half.
        """
        if not isinstance(address, Address | AsymmetricAddress) or address.is_partial_address():
            raise AddressError(
                f"a transport layer needs an address with both directions, not {address!r}",
                remedy="Address(rxid=..., txid=...), or AsymmetricAddress of two halves",
            )
        self.address = address
        self._read_params()
        links = [Link(self._engine(address), lambda: self)]  # a layer that was started lives on until it is stopped
        if (functional := functional_address(address)) is not None:
            links.append(_FunctionalLink(self._engine(functional), lambda: self))
        self._serve(links)

    def load_params(self) -> None:
        """Begin anew with the parameters as they are; what is being sent and received is given up."""
        self._read_params()
        self._call(self._begin_anew)

    def _read_params(self) -> None:
        self.logger = logging.getLogger(self.params.logger_name)
        self._limiter = self.params.rate_limiter(self.clock)

    def _serve(self, links: list[Link]) -> None:
        """Use `links` from now on: the physical one, and perhaps a functional one."""
        self._use(links)

    def _use(self, links: list[Link]) -> None:
        self._links = links
        if self.active_send_request is not None:
            self._end_active(TransferError("the address or the parameters were changed"))
        self._begin_soon()

    def _begin_anew(self) -> None:
        for link in self._links:
            link.engine = self._engine(link.engine.address)
            link.held.clear()
        self._use(self._links)

    def _engine(self, address: Address | AsymmetricAddress) -> LayerEngine:
        return LayerEngine(address, self.params.for_engine(), self._limiter)

    def _follow_params(self) -> None:
        """A parameter was set: it counts from the next message on."""
        self._params_changed = True
        self._call(self._renew_engines)

    def _renew_engines(self) -> None:
        if self._params_changed and not any(link.engine.is_sending or link.engine.is_receiving for link in self._links):
            self._params_changed = False
            for link in self._links:
                link.engine = self._engine(link.engine.address)

    def _call(self, function: Callable[[], T]) -> T:
        """Call `function`, where the engines may be used."""
        return function()

    # --- sending

    def send(
        self,
        data: Payload,
        target_address_type: TargetAddressType | int | None = None,
        send_timeout: float | None = None,
    ) -> None:
        """Queue a message. With the parameter `blocking_send` it is waited for.

        Args:
            data: the message, or a generator of its bytes and their number. Nothing is sent of an empty one.
            target_address_type: physical or functional; None: the parameter `default_target_address_type`.
            send_timeout: seconds to wait with `blocking_send`; None: without limit.

        Raises:
            ValueError: `data` is not that, or too long for a functional message.
            RuntimeError: the layer only listens.
            BlockingSendTimeout: the message is still being sent after `send_timeout`.
            BlockingSendFailure: it was not transferred.
        """
        if self.params.listen_mode:
            raise RuntimeError("the transport layer only listens: listen_mode is set")
        which = self.params.default_target_address_type if target_address_type is None else target_address_type
        request = Request(_checked(data), TargetAddressType(which))
        longest = self._links[0].engine.single_capacity
        if request.target_address_type is TargetAddressType.Functional and len(request.data) > longest:
            raise MessageSizeError(f"{len(request.data)} bytes are more than a functional message has, {longest}")
        self._requests.append(request)
        if self.post_send_callback is not None:
            self.post_send_callback(request)
        self._begin_soon()
        if self.params.blocking_send:
            self._wait_for(request, send_timeout)

    def _wait_for(self, request: Request, timeout: float | None) -> None:
        if not request.complete_event.wait(timeout):
            raise BlockingSendTimeout(
                f"the message ({len(request.data)} bytes) is still being sent after {timeout:g} s"
            )
        if request.error is not None:
            raise BlockingSendFailure("the message was not transferred") from request.error

    def _begin_soon(self) -> None:
        """Let the requests begin."""

    def _link_of(self, request: Request) -> Link:
        return self._links[-1 if request.target_address_type is TargetAddressType.Functional else 0]

    def _begin_next(self) -> None:
        while self._requests and self.active_send_request is None:
            self.active_send_request = request = self._requests[0]
            self._requests.popleft()  # only now: `transmitting` is true all the time
            if not len(request.data):
                self._end_active(None)
                continue
            link = self._link_of(request)
            link.engine.send(request.data, self.clock())
            self._touch(link)

    def _touch(self, link: Link) -> None:
        """The engine of `link` has frames to send."""

    def _take_active(self) -> Request | None:
        request, self.active_send_request = self.active_send_request, None
        return request

    def _end_active(self, error: Exception | None) -> None:
        if (request := self._take_active()) is not None:
            request.complete(error)

    def transmitting(self) -> bool:
        """Whether a message is being sent, or waits for that."""
        return bool(self._requests) or self.active_send_request is not None

    def stop_sending(self) -> None:
        """Give up the message being sent, and those that wait."""
        self._call(lambda: self._stop(Direction.SENDING, "stop_sending was called"))

    def stop_receiving(self) -> None:
        """Give up the message being received."""
        self._call(lambda: self._stop(Direction.RECEIVING, "stop_receiving was called"))

    def _stop(self, direction: Direction, why: str) -> None:
        if direction is Direction.SENDING:
            self._forget_requests(why)
        for link in self._links:
            link.engine.abort(_StoppedError(why), direction)
            self._take_events(link.engine)

    def clear_tx_queue(self) -> None:
        """Forget the messages that wait to be sent."""
        self._call(lambda: self._forget_requests("clear_tx_queue was called"))

    def _forget_requests(self, why: str) -> None:
        while self._requests:
            self._requests.popleft().complete(_StoppedError(why))

    # --- receiving

    def recv(self, block: bool = False, timeout: float | None = None) -> bytearray | None:
        """Take the oldest message received; None if there is none.

        Args:
            block: whether to wait for one.
            timeout: how many seconds to wait; None: without limit.
        """
        try:
            return self.rx_queue.get(block, timeout)
        except queue.Empty:
            return None

    def available(self) -> bool:
        """Whether a message waits to be taken."""
        return not self.rx_queue.empty()

    def is_rx_active(self) -> bool:
        """Whether a message of several frames is being received."""
        return any(link.engine.is_receiving for link in self._links)

    def clear_rx_queue(self) -> None:
        """Forget the messages received."""
        while self.recv() is not None:
            pass

    def reset(self) -> None:
        """Forget everything that is being sent and received, or waits."""
        self.stop_sending()
        self.stop_receiving()
        self.clear_rx_queue()

    # --- the work

    def process(self, rx_timeout: float = 0.0, do_rx: bool = True, do_tx: bool = True) -> Stats:
        """Receive and send all frames that are due, and report what failed.

        Args:
            rx_timeout: seconds that the first call of rxfn may wait.
            do_rx: whether to receive.
            do_tx: whether to send.
        """
        stats = self._stats = Stats()
        if do_tx:
            self._transmit()
        while do_rx and (message := self.receive_message(0.0 if stats.received else rx_timeout)) is not None:
            stats.received += 1
            frame = to_frame(message)
            for link in self._links:
                if link.engine.takes(frame):
                    stats.received_processed += 1
                    link.engine.receive_frames((frame,), self.clock())
                    self._take_events(link.engine)
            if do_tx:
                self._transmit()
        for link in self._links:
            link.engine.handle_timer(self.clock())
            self._take_events(link.engine)
        return stats

    def _transmit(self) -> None:
        self._begin_next()
        while any(self._transmit_one(link.engine) for link in self._links):
            self._begin_next()

    def _transmit_one(self, engine: Engine) -> bool:
        """Send the next frame of `engine`; False: none is due."""
        frames = engine.frames_to_send(self.clock(), 1)
        for frame in frames:
            try:
                self.txfn(to_message(frame, self.params.can_fd))
            except BaseException as e:
                engine.abort(_StoppedError(f"txfn failed: {type(e).__name__}: {e}"))
                raise
            finally:
                engine.frame_sent(self.clock())
                self._take_events(engine)
            self._stats.sent += 1
        self._take_events(engine)
        return bool(frames)

    def _take_events(self, engine: Engine) -> None:
        while (event := engine.next_event()) is not None:
            self.on_event(event)

    def on_event(self, event: Event) -> None:
        """The engine reports `event`."""
        self._bus_failure = ""
        if isinstance(event, MessageReceived):
            self._stats.frame_received += 1
            self.rx_queue.put(bytearray(event.data))
        elif isinstance(event, MessageSent):
            self._end_active(None)
        elif isinstance(event, FrameIgnored):
            if self.params.listen_mode and event.why is IgnoreReason.UNEXPECTED_FLOW_CONTROL:
                return  # of the peer, to the one that is listened to
            self._report(ignored_error(event, str(self.address)))
        elif isinstance(event, TransferFailed):
            self._report(event.error, self._take_active() if event.direction is Direction.SENDING else None)
        self._renew_engines()

    def on_bus_failure(self, error: InterfaceError) -> None:
        """The bus failed: what is being sent and received is lost. It is reported once, unless a message is lost."""
        request = self._take_active()
        if error.what != self._bus_failure or request is not None or self.is_rx_active():
            error.remedy = "stop() the transport layer, and start() it again"
            self._report(error, request)
        self._bus_failure = error.what
        for link in self._links:
            link.engine.reset()

    def on_fork(self) -> None:
        """This is a child process now."""

    def _report(self, error: IsoTpError, request: Request | None = None) -> None:
        """Tell the error handler, and then the send that waits for `request`."""
        try:
            if not isinstance(error, _StoppedError):
                self.logger.warning("%s", error)
                if self.error_handler is not None:
                    self.error_handler(error)
        finally:
            if request is not None:
                request.complete(error)

    # --- what tells when to call `process`

    def set_sleep_timing(self, idle: float, wait_fc: float) -> None:
        """Set what `sleep_time` returns, in seconds: `idle`, or `wait_fc` while it waits for flow control."""
        self._sleep_idle, self._sleep_wait_fc = idle, wait_fc

    def sleep_time(self) -> float:
        """How many seconds to sleep between two calls of `process`."""
        if self.is_rx_active() or self.is_tx_transmitting_cf():
            return 0.001
        is_waiting = any(link.engine.sender_state is SenderState.WAIT_FC for link in self._links)
        return self._sleep_wait_fc if is_waiting else self._sleep_idle

    def is_tx_transmitting_cf(self) -> bool:
        """Whether consecutive frames are being sent."""
        return self._links[0].engine.sender_state is SenderState.BLOCK_DUE

    def next_cf_delay(self) -> float | None:
        """Seconds until the next consecutive frame is due; None: none is."""
        due_ns = self._links[0].engine.get_timer()
        if due_ns is None or not self.is_tx_transmitting_cf():
            return None
        return max(0.0, (due_ns - self.clock()) / 1e9)

    def is_tx_throttled(self) -> bool:
        """Whether the rate limit holds frames back."""
        return self.transmitting() and self._limiter.allowed_bytes() < self.params.tx_data_length


def _checked(data: Any) -> bytes | FiniteByteGenerator:
    """The payload of `send`, or ValueError."""
    if isinstance(data, tuple) and len(data) == 2:
        return FiniteByteGenerator(*data)
    try:
        return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else bytes(iter(data[:]))
    except TypeError:
        raise ValueError(f"data is {data!r}: allowed are bytes, a bytearray, or a generator with its size") from None
