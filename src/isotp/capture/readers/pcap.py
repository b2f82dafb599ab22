"""pcap and pcapng, as Wireshark, tcpdump and tshark save them, with CAN frames in them."""

import struct
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..frames import DATA_MAX, TIME_MAX_NS, Frame, Frames
from .base import Reader
from .source import BLOCK, Source, UnreadableError

_NG: Final = b"\n\r\r\n"
_SECTION, _INTERFACE, _PACKET, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 6
_ORDERS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
MAGICS: Final = (*_ORDERS, _NG)
# Where the SocketCAN header begins, by link type.
_LINK_TYPES: Final = {227: 0, 113: 16, 276: 20}  # CAN_SOCKETCAN, LINUX_SLL, LINUX_SLL2
_PROTOCOLS: Final = {113: 14, 276: 0}  # where the cooked header has the protocol
_CAN, _CANFD = 0x000C, 0x000D
_FDF: Final = 0x04
_REMOTE_OR_ERROR: Final = 0x60000000
_SOCKETCAN: Final = struct.Struct(">IBB")
_BIG: Final = struct.Struct(">I")
_LITTLE: Final = struct.Struct("<I")
_PACKET_MAX: Final = 1 << 18


def _is_identifier(number: int) -> bool:
    return number & CAN_EFF_FLAG != 0 or number & ~_REMOTE_OR_ERROR <= CAN_SFF_MASK


def _names(link_types: list[int]) -> str:
    return ", ".join(map(str, link_types)) or "none"


class _Packets(Reader):
    """What both have in common: packets with SocketCAN frames.

    Identifiers are big-endian by link type 227. The cooked types leave them in the order of the machine, mostly
    little-endian. The order that gives an identifier where the other gives none is taken from then on.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._order: dict[int, struct.Struct] = {227: _BIG, 113: _LITTLE, 276: _LITTLE}

    def _identifier(self, packet: bytes, at: int, link_type: int) -> int:
        """The identifier and its flags as SocketCAN has them."""
        order = self._order[link_type]
        (number,) = order.unpack_from(packet, at)
        if _is_identifier(number):
            return number  # type: ignore[no-any-return]
        other = _BIG if order is _LITTLE else _LITTLE
        (swapped,) = other.unpack_from(packet, at)
        if _is_identifier(swapped):
            self._order[link_type] = other
        return swapped  # type: ignore[no-any-return]

    def _frame(self, packet: bytes, link_type: int, time_ns: int, channel: str) -> Frame | None:
        """The frame in a packet; None if it has none."""
        at = _LINK_TYPES[link_type]
        is_fd = False
        if at:
            where = _PROTOCOLS[link_type]
            protocol = int.from_bytes(packet[where : where + 2], "big")
            if protocol not in (_CAN, _CANFD):
                self.passed_over += 1
                return None
            is_fd = protocol == _CANFD
        if len(packet) < at + 8 or not 0 <= time_ns <= TIME_MAX_NS:
            self.passed_over += 1
            return None
        _, length, flags = _SOCKETCAN.unpack_from(packet, at)
        number = self._identifier(packet, at, link_type)
        if number & _REMOTE_OR_ERROR:
            return None
        can_id = number & (CAN_EFF_FLAG | CAN_EFF_MASK) if number & CAN_EFF_FLAG else number & CAN_SFF_MASK
        data = packet[at + 8 : at + 8 + length]
        if len(data) < length or length > DATA_MAX:
            self.passed_over += 1
            return None
        return time_ns, channel, can_id, data, is_fd or length > 8 or flags & _FDF != 0

    def _damaged(self, what: str) -> UnreadableError:
        return UnreadableError(f"{self.name}: damaged: {what}")

    def _other_link(self, link_type: int) -> UnreadableError:
        return UnreadableError(
            f"{self.name}: packets of link type {link_type}, which are no CAN frames; "
            f"can be read: {_names(list(_LINK_TYPES))} (SocketCAN, and the cooked types of `any`)"
        )


class Pcap(_Packets):
    """pcap."""

    format: ClassVar = "pcap"

    def batches(self) -> Iterator[Frames]:
        """See `Reader.batches`."""
        header = self.source.read_exactly(24)
        order, unit_ns = _ORDERS[header[:4]]
        if len(header) < 24:
            raise self._damaged("the file ends within its header")
        (link_type,) = struct.unpack_from(f"{order}20xI", header)
        link_type &= 0x0FFFFFFF
        if link_type not in _LINK_TYPES:
            raise self._other_link(link_type)
        record = struct.Struct(f"{order}IIII")
        rest = b""
        is_first = True
        while block := self.source.read():
            data = rest + block if rest else block
            if is_first and link_type != 227:
                self._records(data, record, link_type, unit_ns)  # shows the order of identifiers
                self.passed_over = 0
            is_first = False
            frames, at = self._records(data, record, link_type, unit_ns)
            rest = data[at:]
            yield frames
            if len(rest) > _PACKET_MAX + 16:
                raise self._damaged("a packet longer than any can be")
        if rest:
            self.passed_over += 1

    def _records(self, data: bytes, record: struct.Struct, link_type: int, unit_ns: int) -> tuple[Frames, int]:
        frames: Frames = []
        append, unpack, unpack_can = frames.append, record.unpack_from, _SOCKETCAN.unpack_from
        at, end = 0, len(data)
        is_bare = link_type == 227
        while at + 16 <= end:
            seconds, fraction, size, _ = unpack(data, at)
            begin = at + 16
            if begin + size > end:
                break
            at = begin + size
            time_ns = seconds * 1_000_000_000 + fraction * unit_ns
            if is_bare and size >= 8:
                can_id, length, flags = unpack_can(data, begin)
                if can_id <= CAN_SFF_MASK and length <= 8 and length + 8 <= size and not flags & _FDF:  # most are such
                    append((time_ns, "-", can_id, data[begin + 8 : begin + 8 + length], False))
                    continue
            if (frame := self._frame(data[begin:at], link_type, time_ns, "-")) is not None:
                append(frame)
        return frames, at


class _Interface:
    """What a pcapng says of an interface."""

    def __init__(self, number: int, block: bytes, order: str) -> None:
        (self.link_type,) = struct.unpack_from(f"{order}H", block)
        self.name = str(number)
        self.unit_ns: Callable[[int], int] = lambda ticks: ticks * 1000
        at = 8
        while at + 4 <= len(block):
            code, size = struct.unpack_from(f"{order}HH", block, at)
            value = block[at + 4 : at + 4 + size]
            at += 4 + (size + 3 & ~3)
            if code == 2 and value:  # if_name
                self.name = value.rstrip(b"\0").decode("utf-8", "replace")
            elif code == 9 and value:  # if_tsresol
                per_second = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
                self.unit_ns = lambda ticks, per_second=per_second: ticks * 1_000_000_000 // per_second  # type: ignore[misc]
            elif code == 0:
                break


class PcapNg(_Packets):
    """pcapng."""

    format: ClassVar = "pcapng"

    def batches(self) -> Iterator[Frames]:
        """See `Reader.batches`."""
        interfaces: list[_Interface] = []
        frames: Frames = []
        size = 0
        try:
            for kind, block, order in self._blocks():
                if kind == _SECTION:
                    interfaces = []
                elif kind == _INTERFACE and len(block) >= 8:
                    interfaces.append(_Interface(len(interfaces), block, order))
                elif kind in (_PACKET, _ENHANCED_PACKET) and len(block) >= 20:
                    frames += self._packet(kind, block, order, interfaces)
                size += len(block)
                if size >= BLOCK or not self.source.is_file:
                    yield frames
                    frames, size = [], 0
        except UnreadableError:
            yield frames  # what came before the damage
            raise
        yield frames
        if interfaces and not any(each.link_type in _LINK_TYPES for each in interfaces):
            raise self._other_link(interfaces[0].link_type)

    def _blocks(self) -> Iterator[tuple[int, bytes, str]]:
        """The type and the body of each block, and the order of its bytes."""
        order = "<"
        while head := self.source.read_exactly(8):
            if head[:4] == _NG:
                head += self.source.read_exactly(4)
                order = ">" if head[8:12] == b"\x1a\x2b\x3c\x4d" else "<"
            if len(head) < 8:
                raise self._damaged("the file ends within a block")
            kind, size = struct.unpack_from(f"{order}II", head)
            if size % 4 or not 12 <= size <= 1 << 24:
                raise self._damaged(f"a block of {size} bytes")
            block = self.source.read_exactly(size - len(head))
            if len(block) < size - len(head):
                raise self._damaged("the file ends within a block")
            yield kind, block[:-4], order

    def _packet(self, kind: int, block: bytes, order: str, interfaces: list[_Interface]) -> Frames:
        number, high, low, size = struct.unpack_from(
            f"{order}IIII" if kind == _ENHANCED_PACKET else f"{order}HxxIII", block
        )
        if number >= len(interfaces) or interfaces[number].link_type not in _LINK_TYPES:
            self.passed_over += 1
            return []
        interface = interfaces[number]
        time_ns = interface.unit_ns(high << 32 | low)
        frame = self._frame(block[20 : 20 + size], interface.link_type, time_ns, interface.name)
        return [] if frame is None else [frame]
