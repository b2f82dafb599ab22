"""Recordings of known traffic: testers and ECUs that talk UDS, several at once, and what else goes over a bus."""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from isotp.address import CAN_EFF_FLAG
from isotp.capture.frames import Frame
from isotp.stmin import STmin

MS = 1_000_000
CHANNEL = "can0"


class Expected(NamedTuple):
    source: int
    target: int
    data: bytes


class Pair(NamedTuple):
    """A tester and an ECU."""

    tester: int
    ecu: int


def segmented(
    source: int, target: int, data: bytes, begin: int, chance: random.Random, bs: int = 0, stmin: int = 0
) -> list[Frame]:
    """The frames of a message of several frames, flow control included."""
    now = begin
    frames: list[Frame] = [(now, CHANNEL, source, (0x1000 | len(data)).to_bytes(2, "big") + data[:6], False)]
    gap = max(STmin(stmin).ns, MS // 4)
    for i, at in enumerate(range(6, len(data), 7)):
        if i == 0 or (bs and i % bs == 0):
            now += chance.randrange(MS // 2, 4 * MS)
            frames.append((now, CHANNEL, target, bytes((0x30, bs, stmin)) + b"\xcc" * 5, False))
            now += chance.randrange(MS // 4, MS)
        else:
            now += gap + chance.randrange(MS // 8)
        frames.append(
            (now, CHANNEL, source, bytes((0x20 | (i + 1) & 15,)) + data[at : at + 7].ljust(7, b"\xcc"), False)
        )
    return frames


def single(source: int, data: bytes, now: int) -> Frame:
    return now, CHANNEL, source, (bytes((len(data),)) + data).ljust(8, b"\xcc"), False


def talk(pair: Pair, count: int, seed: int, begin: int = 0, pause: int = 5 * MS) -> tuple[list[Frame], list[Expected]]:
    """`count` requests of a tester, and what the ECU responds: long, short, or refused; some requests are long."""
    chance = random.Random(seed)
    frames: list[Frame] = []
    expected: list[Expected] = []
    now = begin

    def say(source: int, target: int, data: bytes) -> None:
        nonlocal now
        if len(data) <= 7:
            frames.append(single(source, data, now))
        else:
            frames.extend(segmented(source, target, data, now, chance, chance.choice([0, 0, 4]), chance.choice([0, 1])))
        now = frames[-1][0]
        expected.append(Expected(source, target, data))

    for _ in range(count):
        did = chance.choice([0xF190, 0xF187, 0x0100, 0x2001]).to_bytes(2, "big")
        kind = chance.randrange(6)
        request = b"\x2e" + did + chance.randbytes(chance.randrange(10, 60)) if kind == 0 else b"\x22" + did
        say(pair.tester, pair.ecu, request)
        now += chance.randrange(MS, 8 * MS)
        if kind == 0:
            say(pair.ecu, pair.tester, b"\x6e" + did)
        elif kind == 1:
            say(pair.ecu, pair.tester, b"\x7f\x22\x31")
        else:
            say(pair.ecu, pair.tester, b"\x62" + did + chance.randbytes(chance.choice([5, 17, 40, 200])))
        now += chance.randrange(pause)
    return frames, expected


def noise(ids: Sequence[int], until: int, seed: int) -> list[Frame]:
    """Periodic signals, some of random bytes, some with counters and constants."""
    chance = random.Random(seed)
    frames: list[Frame] = []
    for number, can_id in enumerate(ids):
        period = chance.choice([10, 20, 100]) * MS
        constant = chance.randbytes(6)
        for i, now in enumerate(range(chance.randrange(period), until, period)):
            data = chance.randbytes(8) if number % 2 else bytes((i & 255,)) + constant + bytes((i * 3 & 255,))
            frames.append((now, CHANNEL, can_id, data, False))
    return frames


def merged(*parts: Iterable[Frame]) -> list[Frame]:
    return sorted((frame for part in parts for frame in part), key=lambda frame: frame[0])


def ids(count: int, kind: str, seed: int) -> list[Pair]:
    """Pairs of identifiers outside of 7E0 to 7EF."""
    chance = random.Random(seed)
    if kind == "offset":
        return [Pair(0x600 + i, 0x680 + i) for i in range(count)]
    if kind == "neighbours":
        return [Pair(0x700 + 2 * i, 0x701 + 2 * i) for i in range(count)]
    if kind == "29 bits":
        chosen = chance.sample(range(0x10000, 0x18000000), 2 * count)
        return [Pair(a | CAN_EFF_FLAG, b | CAN_EFF_FLAG) for a, b in zip(chosen[::2], chosen[1::2], strict=True)]
    chosen = chance.sample(range(0x400, 0x780), 2 * count)
    return [Pair(a, b) for a, b in zip(chosen[::2], chosen[1::2], strict=True)]
