"""What the diagnostic services of an ECU read and change: DIDs, DTCs, security access, routines, a download."""

import random
import re
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from .answers import Nrc, Refused, Request, as_bytes
from .rules import checked

DidValue = bytes | str | Callable[[Request], Any]

_DTC: Final = re.compile(r"([PCBU])([0-3][0-9A-F]{3})(?:-([0-9A-F]{2}))?", re.IGNORECASE)
_HIGHEST_DTC: Final = 0xFFFFFE
_SEED_BYTES: Final = 4
_CRC_BYTES: Final = 4


@dataclass(slots=True)
class Did:
    """A data identifier.

    Args:
        value: what is read: bytes, text (sent in UTF-8), or a function of the `Request`.
        writable: whether it may be written, with as many bytes as it has; or a function of the `Request` and the new
            bytes, which may raise `Refused`.
        security: the level that has to be unlocked to write it; None: none.
        secret: whether reading takes that level, too.
        sessions: those in which it may be read and written; None: all.
    """

    value: DidValue
    writable: bool | Callable[[Request, bytes], Any] = False
    security: int | None = None
    secret: bool = False
    sessions: Collection[int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, bytes | bytearray | str) and not callable(self.value):
            raise TypeError(f"{self.value!r} is no value of a DID: bytes, text, or a function of the request")

    def read(self, request: Request) -> bytes:
        """The bytes that it has now."""
        value = self.value(request) if callable(self.value) else self.value
        return value.encode() if isinstance(value, str) else as_bytes(value)

    def write(self, request: Request, data: bytes) -> None:
        """Take new bytes.

        Raises:
            Refused: it cannot be written, or not with so many bytes.
        """
        if not self.writable:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if not callable(self.value) and len(data) != len(self.read(request)):
            raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
        if callable(self.writable):
            refusal = self.writable(request, data)
            if isinstance(refusal, Nrc):
                raise Refused(refusal)
        if not callable(self.value):
            self.value = data


def dtc_number(dtc: int | str) -> int:
    """The three bytes of a DTC as a number: of "P0301", of "P0301-2F" with its failure type, or of the number itself.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(dtc, str):
        if found := _DTC.fullmatch(dtc.strip()):
            letter, digits, failure_type = found.groups()
            return "PCBU".index(letter.upper()) << 22 | int(digits, 16) << 8 | int(failure_type or "0", 16)
    elif isinstance(dtc, int) and 0 <= dtc <= _HIGHEST_DTC:
        return dtc
    raise ValueError(f"{dtc!r} is not a DTC: allowed is P, C, B or U with four digits, such as P0301 or P0301-2F")


@dataclass(slots=True)
class Security:
    """One level of security access: the seed is asked for with an odd sub-function, the key comes with the next one.

    Args:
        key: the key that belongs to a seed: a function of the seed, or bytes that are always right.
        seed: the seed: bytes, a function that returns one, or None: four random bytes, the same in each run.
        attempts: how many wrong keys are allowed before the ECU refuses seeds for a time.
        delay_s: how long it refuses them, in seconds.
        sessions: those in which the level can be unlocked; None: all but the default session.
    """

    key: "Callable[[bytes], bytes] | bytes | str"
    seed: "Callable[[], bytes] | bytes | str | None" = None
    attempts: int = 3
    delay_s: float = 10.0
    sessions: Collection[int] | None = None
    _random: random.Random = field(default_factory=lambda: random.Random(0), repr=False)
    _failed: int = field(default=0, repr=False)
    _locked_until_s: float = field(default=float("-inf"), repr=False)

    def __post_init__(self) -> None:
        for given in (self.key, b"" if self.seed is None else self.seed):
            if not callable(given):
                as_bytes(given)

    def power_on(self) -> None:
        """Begin on a clock that may be another one: no delay runs."""
        self._locked_until_s = float("-inf")

    def new_seed(self, now_s: float) -> bytes:
        """A seed.

        Raises:
            Refused: there were too many wrong keys.
        """
        if now_s < self._locked_until_s:
            raise Refused(Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
        if self.seed is None:
            return self._random.randbytes(_SEED_BYTES)
        return as_bytes(self.seed() if callable(self.seed) else self.seed)

    def check(self, seed: bytes, key: bytes, now_s: float) -> None:
        """Take a key.

        Raises:
            Refused: it is wrong, for the last time allowed or not.
        """
        right = as_bytes(self.key(seed) if callable(self.key) else self.key)
        if key == right:
            self._failed = 0
            return
        self._failed += 1
        if self._failed < self.attempts:
            raise Refused(Nrc.INVALID_KEY)
        self._failed, self._locked_until_s = 0, now_s + self.delay_s
        raise Refused(Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS)


@dataclass(slots=True)
class Routine:
    """A routine.

    Each answer is the status record, the bytes after the routine's identifier: bytes, hexadecimal digits, an `Nrc`, a
    `Reply` with a time, or a function of the `Request` that returns any of these or raises `Refused`.

    Args:
        start: the answer to startRoutine.
        stop: the answer to stopRoutine; None: it cannot be stopped.
        results: the answer to requestRoutineResults; None: it has none.
        security: the level that has to be unlocked; None: none.
        sessions: those in which it may be used; None: all.
    """

    start: Any = b""
    stop: Any = None
    results: Any = None
    security: int | None = None
    sessions: Collection[int] | None = None
    was_started: bool = False

    def __post_init__(self) -> None:
        for answer in (self.start, self.stop, self.results):
            if answer not in (b"", ""):  # a status record may be empty, a whole reply may not
                checked(answer)


@dataclass(slots=True)
class _Transfer:
    """A download that has begun."""

    address: int
    size: int
    data: bytearray
    counter: int = 0  # of the last block


@dataclass(slots=True)
class Download:
    """A part of the memory that can be written, block by block.

    Each block is checked: its counter, its length, that it was asked for. So is all of it at the end: that every byte
    has come, the CRC-32 if the tester sends one with RequestTransferExit, and by `check`.

    Args:
        start: the first address.
        size: how many bytes there are.
        block: bytes of the longest TransferData request, with its service and counter.
        security: the level that has to be unlocked; None: none.
        sessions: those in which it is allowed; None: all but the default session.
        check: called with the address and the bytes at the end; it may return an `Nrc` or raise `Refused`.
    """

    start: int = 0
    size: int = 1 << 32
    block: int = 0x102
    security: int | None = None
    sessions: Collection[int] | None = None
    check: Callable[[int, bytes], Any] | None = None
    done: list[tuple[int, bytes]] = field(default_factory=list)
    """The address and the bytes of each download that was completed."""
    _transfer: _Transfer | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 3 <= self.block <= 0xFFFF:
            raise ValueError(f"block={self.block}: allowed is 3 to 65535 bytes")

    def reset(self) -> None:
        """Give up a download that has begun."""
        self._transfer = None

    def request(self, data: bytes) -> bytes:
        """The answer to RequestDownload, or `Refused` for what does not fit."""
        address_bytes, size_bytes = data[2] & 0x0F, data[2] >> 4
        if not address_bytes or not size_bytes:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if len(data) != 3 + address_bytes + size_bytes:
            raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
        address = int.from_bytes(data[3 : 3 + address_bytes])
        size = int.from_bytes(data[3 + address_bytes :])
        if not size or address < self.start or address + size > self.start + self.size:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if self._transfer is not None:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        self._transfer = _Transfer(address, size, bytearray())
        return b"\x74\x20" + self.block.to_bytes(2)

    def take(self, data: bytes) -> bytes:
        """The answer to TransferData, or `Refused` for a block that is out of turn."""
        transfer = self._transfer
        if transfer is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        counter, block = data[1], data[2:]
        if counter == transfer.counter and transfer.data:  # repeated, since its response was lost: not written again
            return bytes((0x76, counter))
        left = transfer.size - len(transfer.data)
        if not left:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        if counter != (transfer.counter + 1) & 0xFF:
            raise Refused(Nrc.WRONG_BLOCK_SEQUENCE_COUNTER)
        if not block or len(data) > self.block:
            raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
        if len(block) > left:
            raise Refused(Nrc.TRANSFER_DATA_SUSPENDED)
        transfer.data += block
        transfer.counter = counter
        return bytes((0x76, counter))

    def finish(self, data: bytes) -> bytes:
        """The answer to RequestTransferExit, or `Refused`: bytes are missing, or the checksum is another."""
        transfer = self._transfer
        if transfer is None or len(transfer.data) < transfer.size:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        written, checksum = bytes(transfer.data), data[1:]
        if len(checksum) not in (0, _CRC_BYTES):
            raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
        self._transfer = None
        if checksum and int.from_bytes(checksum) != zlib.crc32(written):
            raise Refused(Nrc.GENERAL_PROGRAMMING_FAILURE)
        refusal = self.check(transfer.address, written) if self.check is not None else None
        if isinstance(refusal, Nrc):
            raise Refused(refusal)
        self.done.append((transfer.address, written))
        return b"\x77"
