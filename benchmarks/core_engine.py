"""The engine's own cost: a message between two links in one process, no bus, both ends.

Against a bare loop that only slices and joins and, if given a directory with the package `can-isotp`, against
its `TransportLayerLogic`. That package has our import name, so each rival is a process of its own. All answer
in turn, round after round; the figures are medians of the rounds.

    pip install --target /tmp/rival can-isotp
    PYTHONPATH=src python benchmarks/core_engine.py --can-isotp /tmp/rival
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

SRC = Path(__file__).parents[1] / "src"
SIZES = {4095: 20, 4: 500}  # message length: messages in one round
TARGETS = {("can-isotp", 4095): 25.0, ("can-isotp", 4): 5.0}  # times faster, at least
BARE_TARGET = 2.0  # times slower, at most

Transfer = Callable[[bytes], bytes]


def bare() -> Transfer:
    def transfer(data: bytes) -> bytes:
        frames = [bytes((0x20 | n & 0x0F,)) + data[i : i + 7] for n, i in enumerate(range(0, len(data), 7))]
        received = []
        for frame in frames:
            received.append(frame[1:])
        return b"".join(received)

    return transfer


def engine() -> Transfer:
    from isotp.address import Address
    from isotp.core.engine import Engine
    from isotp.core.events import MessageReceived, MessageSent

    one = Engine(Address.normal(rxid=0x123, txid=0x456))
    two = Engine(Address.normal(rxid=0x456, txid=0x123))

    def carry(sender: Engine, receiver: Engine) -> bool:
        frames = sender.frames_to_send(0)
        receive_frame = receiver.receive_frame
        for frame in frames:
            receive_frame(frame, 0)
        if frames:
            sender.frame_sent(0, len(frames))
        return bool(frames)

    def transfer(data: bytes) -> bytes:
        one.send(data, 0)
        while carry(one, two) or carry(two, one):
            pass
        assert isinstance(one.next_event(), MessageSent)
        while not isinstance(event := two.next_event(), MessageReceived):
            assert event is not None
        return event.data

    return transfer


def can_isotp(params: dict[str, int] | None = None) -> Transfer:
    import isotp

    namespace: Any = isotp  # the other package
    to_one: deque[Any] = deque()
    to_two: deque[Any] = deque()

    def link(rx: deque[Any], tx: deque[Any], rxid: int, txid: int) -> Any:
        address = namespace.Address(namespace.AddressingMode.Normal_11bits, rxid=rxid, txid=txid)
        return namespace.TransportLayerLogic(
            lambda timeout: rx.popleft() if rx else None,
            tx.append,
            address,
            params={"stmin": 0, "blocksize": 0},
        )

    one, two = link(to_one, to_two, 0x123, 0x456), link(to_two, to_one, 0x456, 0x123)

    def transfer(data: bytes) -> bytes:
        one.send(data)
        while not two.available():
            one.process()
            two.process()
        return bytes(two.recv())

    return transfer


RIVALS: dict[str, Callable[[], Transfer]] = {
    "engine": engine,
    "bare": bare,
    "can-isotp": can_isotp,  # as it comes: a flow control every 8 frames
    "can-isotp, bs 0": lambda: can_isotp({"blocksize": 0}),
}


def serve(name: str) -> None:
    """Time one round of messages per line read."""
    transfer = RIVALS[name]()
    for line in sys.stdin:
        size = int(line)
        data = bytes(i & 0xFF for i in range(size))
        assert transfer(data) == data
        begin = perf_counter()
        for _ in range(SIZES[size]):
            transfer(data)
        print((perf_counter() - begin) / SIZES[size], flush=True)


def measure(names: dict[str, str], rounds: int) -> dict[tuple[str, int], float]:
    """Seconds per message for each rival (and its import path) and size."""
    rivals = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, path in names.items()
    }
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for size in SIZES:
            for name, rival in rivals.items():
                assert rival.stdin is not None
                assert rival.stdout is not None
                print(size, file=rival.stdin, flush=True)
                times.setdefault((name, size), []).append(float(rival.stdout.readline()))
    for rival in rivals.values():
        rival.communicate()
    return {key: statistics.median(values) for key, values in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--can-isotp", metavar="DIR", help="where that package is installed")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--serve", choices=RIVALS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return 0
    names = {name: args.can_isotp for name in RIVALS if args.can_isotp} | {"engine": str(SRC), "bare": ""}
    times = measure(names, args.rounds)
    missed = False
    for (name, size), seconds in times.items():
        ratio = seconds / times["engine", size]
        text = f"{size:5} bytes  {name:16} {seconds * 1e6:9.1f} us  {ratio:6.2f} times the engine's"
        if target := TARGETS.get((name, size)):
            missed |= ratio < target
            text += f", target {target:g}"
        if (name, size) == ("bare", 4095):
            missed |= ratio < 1 / BARE_TARGET
            text += f", target {1 / BARE_TARGET:g}"
        print(text)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
