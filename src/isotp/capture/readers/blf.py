"""Vector's binary log, .blf: objects, most of them inside zlib-compressed containers."""

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import ClassVar, Final

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK
from ..frames import TIME_MAX_NS, Frames
from .base import Reader
from .source import BLOCK, UnreadableError

MAGIC: Final = b"LOGG"
_FILE_HEADER: Final = struct.Struct("<4sL32x8H")  # size of the header; SYSTEMTIME of the start
# Signature, header size, header version, object size, object type; unit of time, object version and such, time.
_BASE: Final = struct.Struct("<4sHHLL")
_CAN_OBJECT: Final = struct.Struct("<4sHHLLL4xQHBBL8s")  # with the shorter header; most objects are such
_HEADER_V1: Final = 32
_CAN: Final = struct.Struct("<HBBL8s")  # channel, flags, DLC, identifier, data
_CAN_FD: Final = struct.Struct("<HBBLLBBB5x64s")  # ..., frame length, bit count, FD flags, valid bytes, data
_CAN_FD_64: Final = struct.Struct("<BBBBLLL28x")  # channel, DLC, valid bytes, -, identifier, frame length, flags
_CONTAINER, _CAN_TYPES, _FD, _FD_64 = 10, (1, 86), 100, 101
_TEN_MICROSECONDS: Final = 1
_REMOTE: Final = 0x80
_REMOTE_64: Final = 0x10
_EDL_64: Final = 0x1000
_EDL: Final = 1
_OBJECT_MAX: Final = 1 << 20
_CONTAINER_MAX: Final = 1 << 28
_PACKING: Final = struct.Struct("<H6xL4x")  # of a container: 0 plain or 2 zlib, size of what is in it
_PIECE: Final = 1 << 18


class Blf(Reader):
    """A binary log."""

    format: ClassVar = "Vector blf"

    def batches(self) -> Iterator[Frames]:
        """See `Reader.batches`."""
        source = self.source
        header = source.read_exactly(_FILE_HEADER.size + 16)
        if len(header) < _FILE_HEADER.size:
            raise UnreadableError(f"{self.name}: the file ends within its header")
        _, size, *start = _FILE_HEADER.unpack_from(header)
        source.read_exactly(min(1 << 16, max(0, size - len(header))))
        self._start_ns = _system_time_ns(start)
        rest = b""
        while head := source.read_exactly(_BASE.size):
            signature, _, _, size, kind = _BASE.unpack(head) if len(head) == _BASE.size else (b"", 0, 0, 0, 0)
            if signature != b"LOBJ" or not _BASE.size <= size <= _CONTAINER_MAX:
                raise UnreadableError(f"{self.name}: damaged: no object where one must be")
            body = self._pieces(size - _BASE.size)
            padding = size % 4
            for piece in self._unpacked(body) if kind == _CONTAINER else chain((head,), body, (bytes(padding),)):
                frames, rest = self._objects(rest + piece)
                yield frames
            source.read_exactly(padding)

    def _pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes of the file; the first piece has 16."""
        while size > 0 and (piece := self.source.read_exactly(min(size, _PACKING.size))):
            yield piece
            size -= len(piece)
            while size > 0 and (piece := self.source.read_exactly(min(size, BLOCK))):
                yield piece
                size -= len(piece)

    def _unpacked(self, body: Iterator[bytes]) -> Iterator[bytes]:
        """What is in a container, in pieces: it may unpack to a thousand times its size."""
        header = next(body, b"")
        method, size = _PACKING.unpack(header) if len(header) == _PACKING.size else (0, 0)
        if method == 0:
            yield from body
            return
        unpacker, left = zlib.decompressobj(), min(size or _CONTAINER_MAX, _CONTAINER_MAX)
        for packed in body:
            while left and not unpacker.eof:
                wanted = min(left, _PIECE)
                try:
                    piece = unpacker.decompress(packed, wanted)
                except zlib.error as e:
                    raise UnreadableError(f"{self.name}: damaged: {e}") from e
                self.source.count_unpacked(len(piece))
                yield piece
                left -= len(piece)
                packed = unpacker.unconsumed_tail
                if not packed and len(piece) < wanted:
                    break

    def _objects(self, data: bytes) -> tuple[Frames, bytes]:
        """The frames in `data`, and what is left of it: an object may go on in the next container."""
        frames: Frames = []
        append, unpack = frames.append, _CAN_OBJECT.unpack_from
        at, end, start_ns = 0, len(data), self._start_ns
        names = _CHANNELS
        while at + _CAN_OBJECT.size <= end:
            signature, header_size, _, size, kind, unit, time, channel, flags, dlc, can_id, raw = unpack(data, at)
            if signature != b"LOBJ" or not _BASE.size <= size <= _OBJECT_MAX:
                at = data.find(b"LOBJ", at + 1)  # behind padding, or damage
                if at < 0:
                    return frames, data[-3:]  # the next one may begin there
                continue
            if at + size > end:
                break
            begin, at = at, at + size
            time_ns = start_ns + (time * 10_000 if unit == _TEN_MICROSECONDS else time)
            if time_ns > TIME_MAX_NS:
                self.passed_over += 1
            elif kind in _CAN_TYPES and header_size == _HEADER_V1:
                if not flags & _REMOTE:
                    append(
                        (time_ns, names[channel & 0xFF], can_id if can_id <= 0x7FF else _id(can_id), raw[:dlc], False)
                    )
            elif kind in (*_CAN_TYPES, _FD, _FD_64):
                try:
                    self._other(frames, kind, data[begin + header_size : at], time_ns)
                except struct.error:
                    self.passed_over += 1
        return frames, data[at:]

    def _other(self, frames: Frames, kind: int, body: bytes, time_ns: int) -> None:
        if kind in _CAN_TYPES:
            channel, flags, length, can_id, raw = _CAN.unpack_from(body)
            is_remote, is_fd, length = flags & _REMOTE, False, min(8, length)
        elif kind == _FD:
            channel, flags, _, can_id, _, _, fd_flags, length, raw = _CAN_FD.unpack_from(body)
            is_remote, is_fd = flags & _REMOTE, bool(fd_flags & _EDL)
        else:
            channel, _, length, _, can_id, _, flags = _CAN_FD_64.unpack_from(body)
            raw = body[_CAN_FD_64.size :]
            is_remote, is_fd = flags & _REMOTE_64, bool(flags & _EDL_64)
        if not is_remote:
            frames.append((time_ns, _CHANNELS[channel & 0xFF], _id(can_id), raw[: min(64, length)], is_fd))


_CHANNELS: Final = tuple(str(number - 1) for number in range(256))


def _id(can_id: int) -> int:
    return can_id & (CAN_EFF_FLAG | CAN_EFF_MASK) if can_id & CAN_EFF_FLAG else can_id & 0x7FF


def _system_time_ns(start: list[int]) -> int:
    """Windows' SYSTEMTIME: year, month, day of the week, day, hour, minute, second, millisecond; 0 if it is none."""
    year, month, _, day, hour, minute, second, millisecond = start
    try:
        date = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return 0
    return max(0, int(date.timestamp()) * 1_000_000_000 + min(millisecond, 999) * 1_000_000)
