"""Pairs of engines in simulated time, with faults: as many frames as the processor can do."""

import heapq
import random
import time
from itertools import count

import isotp
from isotp import Address
from isotp.bus import CanFrame
from isotp.engine import (
    Direction,
    Engine,
    FirstFrameReceived,
    MessageReceived,
    MessageSent,
    Params,
    TransferFailed,
)
from isotp.testing import Faults

from .judge import Outcome, Record

_TX_DLS = (8, 8, 8, 12, 16, 20, 24, 32, 48, 64)
_MESSAGES = 20  # of a pair


def run(seed: int, seconds: float) -> Record:
    """Transfer messages between engines for so long."""
    chance, record, end = random.Random(seed), Record(), time.monotonic() + seconds
    while time.monotonic() < end:
        pair = _Pair(chance.randrange(1 << 32), record)
        for _ in range(_MESSAGES):
            pair.transfer()
        record.counts["frames"] += pair.frames
    return record


class _Pair:
    def __init__(self, seed: int, record: Record) -> None:
        self.frames = 0
        self._seed, self._record = seed, record
        self._chance = chance = random.Random(seed)
        tx_dl = chance.choice(_TX_DLS)
        params = Params(
            can_fd=tx_dl > 8,
            tx_dl=tx_dl,
            bs=chance.choice((0, 0, 1, 8, chance.randrange(256))),
            stmin=chance.choice((0, 0, 0xF1, 1, 10)),
            tx_padding=chance.choice((None, 0xAA)),
            max_pdu_size=100_000,
        )
        self._ends = (
            Engine(Address.normal(rxid=1, txid=2), params),
            Engine(Address.normal(rxid=2, txid=1), params),
        )
        self._faults = Faults(seed)
        if chance.random() < 0.8:
            self._faults.lose(chance=chance.choice((0, 0.001, 0.02)))
            self._faults.double(chance=chance.choice((0, 0.001, 0.02)))
            self._faults.delay(chance=chance.choice((0, 0.001, 0.02)), seconds=chance.choice((0.001, 0.5)))
        self._now = 0
        self._under_way: list[tuple[int, int, CanFrame, Engine]] = []
        self._order = count()

    def transfer(self) -> None:
        """Send a message, let the time pass until all is quiet, and judge."""
        chance, ends = self._chance, self._ends
        sender, receiver = ends if chance.random() < 0.5 else ends[::-1]
        message = chance.randbytes(chance.choice((1, 7, 8, 62, 63, 4095, 4096, chance.randint(1, 300), 20_000)))
        self._faults.done.clear()
        abort_ns = self._now + chance.randrange(20_000_000) if chance.random() < 0.02 else None
        causes, begun = [], False
        sent: list[Exception | None] = []
        received: list[Outcome] = []
        sender.send(message, self._now)
        while True:
            self._carry()
            while event := sender.next_event():
                if isinstance(event, MessageSent):
                    sent.append(None)
                elif isinstance(event, TransferFailed) and event.direction is Direction.SENDING:
                    sent.append(event.error)
            while event := receiver.next_event():
                if isinstance(event, MessageReceived):
                    received.append(event.data)
                elif isinstance(event, TransferFailed):
                    received.append(event.error)
                elif isinstance(event, FirstFrameReceived):
                    begun = True
            if not self._advance(abort_ns):
                break
            if abort_ns is not None and self._now >= abort_ns and sender.is_sending:
                causes.append("aborted")
                sender.abort(isotp.TransferAbortedError("aborted"))
        link = f"engine pair {self._seed}"
        causes += map(str, self._faults.done)
        self._record.judge(link, message, sent[0] if sent else None, received, causes)
        if len(sent) != 1:
            self._record.complain(f"{link}: {len(sent)} outcomes of one message; {causes[:5]}")
        if begun and not received:
            self._record.complain(f"{link}: a reception began and nothing was told; {causes[:5]}")

    def _carry(self) -> None:
        """Move frames from both ends to the bus."""
        for end, other in (self._ends, self._ends[::-1]):
            while frames := end.frames_to_send(self._now):
                end.frame_sent(self._now, len(frames))
                self.frames += len(frames)
                for frame in frames:
                    for delay_ns, copy in self._faults(frame):
                        heapq.heappush(self._under_way, (self._now + delay_ns, next(self._order), copy, other))

    def _advance(self, abort_ns: int | None) -> bool:
        """Go to the next frame that arrives, or timer; whether there is one."""
        if self._under_way and self._under_way[0][0] <= self._now:
            while self._under_way and self._under_way[0][0] <= self._now:
                _, _, frame, end = heapq.heappop(self._under_way)
                end.receive_frame(frame, self._now)
            return True
        timers = [timer for end in self._ends if (timer := end.get_timer()) is not None]
        times = [*timers, *(entry[0] for entry in self._under_way[:1])]
        if not times:
            return False
        if abort_ns is not None and abort_ns > self._now:
            times.append(abort_ns)
        self._now = max(self._now, min(times))
        for end in self._ends:
            end.handle_timer(self._now)
        return True
