"""Downloads: services 0x34, 0x36 and 0x37."""

import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from .nrc import Nrc, Refused

_CRC_BYTES: Final = 4


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
        """The answer to RequestDownload."""
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
        """The answer to TransferData."""
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
        """The answer to RequestTransferExit."""
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
