"""An ECU, or any other stack, on a bus: what can be judged is what it answers."""

import time
from collections.abc import Callable
from typing import Final

from ...address import Address, AsymmetricAddress
from ...can_frame import CLASSICAL_MAX_LENGTH, CanFrame
from ...engine.engine import Engine
from ...engine.events import FirstFrameReceived, MessageReceived, TransferFailed
from ...engine.params import Params
from .case import FORGET_MS, PENDING_MS, Need, Setup
from .nodes import Node
from .subject import Heard, Subject

_REST_MS: Final = 20.0  # between two cases, for an answer that comes late
_LONGEST: Final = 1 << 20


class BusSubject(Subject):
    """Whatever answers at `address`.

    A case that asks the subject to send, to report, or to have another BS, STmin, padding, address and so on, is not
    applicable: over a bus nothing of that can be done.

    Args:
        node: the tester's place on the bus.
        address: of the subject, as it sees it.
        can_fd: whether its frames are CAN FD.
        padding: the byte with which the tester pads its frames to 8 bytes; None: it does not.
        has_long_answer: whether a request is known that it answers with several frames.
        name: in the report.
        late_s: by how many seconds this machine may be late.
    """

    def __init__(
        self,
        node: Node,
        address: Address | AsymmetricAddress,
        *,
        can_fd: bool = False,
        padding: int | None = None,
        has_long_answer: bool = False,
        name: str = "the ECU",
        late_s: float = 0.1,
    ) -> None:
        self.name = name
        self.early_ns = node.jitter_ns
        self.late_ns = round(late_s * 1e9) + node.jitter_ns
        long_answer = {Need.LONG_ANSWER} if has_long_answer else set()
        self.abilities = frozenset({Need.ANSWER, *long_answer, *({Need.CAN_FD} if can_fd else ())})
        self._node = node
        self._address = address
        self._padding = padding
        assert address.tx is not None
        self._tx_id = address.tx.can_id

    def open(self, setup: Setup) -> None:
        """Forget what came since the last case."""
        self._drop(_REST_MS)

    def recover(self) -> None:
        """Let the timers of the subject run out, and drop what it still sends."""
        self._drop(FORGET_MS)

    def _drop(self, ms: float) -> None:
        until_ns = self.now() + round(ms * 1e6)
        while self.receive(until_ns):
            pass

    def close(self) -> None:
        """See `Subject`."""

    def address(self, setup: Setup) -> Address | AsymmetricAddress:
        """See `Subject`."""
        return self._address

    def now(self) -> int:
        """See `Subject`."""
        return self._node.now()

    def send(self, frame: CanFrame, is_exact: bool) -> None:
        """See `Subject`."""
        if self._padding is not None and not is_exact:
            frame = frame._replace(data=frame.data.ljust(CLASSICAL_MAX_LENGTH, bytes((self._padding,))))
        self._node.send(frame)

    def receive(self, until_ns: int) -> Heard | None:
        """The next frame of the subject; those of others are left out."""
        while heard := self._node.receive(until_ns):
            if heard.frame.can_id == self._tx_id:
                return heard
        return None


def ask(
    node: Node,
    address: Address | AsymmetricAddress,
    request: bytes,
    *,
    can_fd: bool = False,
    padding: int | None = None,
    timeout: float = 2.0,
    clock: Callable[[], int] = time.monotonic_ns,
) -> tuple[bytes, int]:
    """Send a request over `node` and return the answer, and the length of its first frame, 0 for a single frame.

    Args:
        node: the tester's place on the bus.
        address: of the tester.
        request: what is sent.
        can_fd: see `BusSubject`.
        padding: see `BusSubject`.
        timeout: how long to wait for the answer, in seconds; a "response pending" of UDS gives it 5 s more.
        clock: of the engine, in nanoseconds.

    Raises:
        TransferError: the request or the answer was not transferred.
        TimeoutError: no answer came.
    """
    engine = Engine(address, Params(can_fd=can_fd, tx_padding=padding, max_pdu_size=_LONGEST))
    engine.send(request, clock())
    end_ns, first, length = clock() + round(timeout * 1e9), 0, 0
    while clock() < end_ns:
        engine.handle_timer(clock())
        while frames := engine.frames_to_send(clock()):
            for frame in frames:
                node.send(frame)
            engine.frame_sent(clock(), len(frames))
        while event := engine.next_event():
            if isinstance(event, MessageReceived):
                if event.data != bytes((0x7F, request[0], 0x78)):
                    return event.data, first
                end_ns = clock() + round(PENDING_MS * 1e6)
            if isinstance(event, FirstFrameReceived):
                first = length
            if isinstance(event, TransferFailed):
                raise event.error
        heard = node.receive(node.now() + 1_000_000)
        if heard is not None and engine.takes(heard.frame):
            length = len(heard.frame.data)
            engine.receive_frame(heard.frame, clock())
    raise TimeoutError(f"no answer to {request.hex(' ').upper()} within {timeout:g} s")
