"""What a gateway does over UDP: it announces its vehicle, and answers who asks for it, its state or its power mode."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

from .codec import DEFAULT_VERSION, HEADER, HeaderNack, Kind, message, read_header
from .settings import VIN_SIZE, Limits, Timers, Vehicle

Place = tuple[str, int]

_REQUESTS: Final = frozenset(
    {
        Kind.IDENTIFICATION_REQUEST,
        Kind.IDENTIFICATION_REQUEST_EID,
        Kind.IDENTIFICATION_REQUEST_VIN,
        Kind.ENTITY_STATUS_REQUEST,
        Kind.POWER_MODE_REQUEST,
    }
)
_OF_OTHERS: Final = (Kind.HEADER_NACK, Kind.ANNOUNCEMENT, Kind.ENTITY_STATUS_RESPONSE, Kind.POWER_MODE_RESPONSE)
_LONGEST: Final = 1 << 16
_MOST_WAITING: Final = 64
_GATEWAY, _UNSYNCHRONISED, _SYNCHRONISED = b"\x00", b"\x10", b"\x00"
_NO_ACTION: Final = b"\x00"


class Discovery(asyncio.DatagramProtocol):
    """The UDP port of a gateway.

    Args:
        vehicle: what it says.
        limits: what its entity status says.
        timers: how long it waits.
        count: returns how many connections have routing.
        say: prints a line.
    """

    _transport: Any  # some loops have transports that are no asyncio.DatagramTransport

    def __init__(
        self, vehicle: Vehicle, limits: Limits, timers: Timers, count: Callable[[], int], say: Callable[[str], object]
    ) -> None:
        self._vehicle, self._limits, self._timers = vehicle, limits, timers
        self._count, self._say = count, say
        self._waiting: set[asyncio.TimerHandle] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.DatagramProtocol`."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.DatagramProtocol`."""
        for timer in self._waiting:
            timer.cancel()

    def error_received(self, error: Exception) -> None:
        """See `asyncio.DatagramProtocol`: who asked does not listen any more."""

    async def announce(self, place: Place) -> None:
        """Announce the vehicle, three times."""
        await asyncio.sleep(self._delay_s())
        for number in range(self._timers.announce_count):
            if number:
                await asyncio.sleep(self._timers.announce_interval)
            self._transport.sendto(self._identification(self._vehicle.version), place)

    def datagram_received(self, data: bytes, place: Place) -> None:
        """See `asyncio.DatagramProtocol`."""
        header = read_header(data)
        if header is not None and header.kind in _OF_OTHERS:
            return
        if header is None or header.length != len(data) - HEADER.size:
            fault: HeaderNack | None = HeaderNack.INVALID_LENGTH if header else HeaderNack.INCORRECT_PATTERN
        else:
            fault = header.fault(_REQUESTS, _LONGEST)
        version = self._vehicle.version if header is None or header.version == DEFAULT_VERSION else header.version
        if header is None or fault is not None:
            assert fault is not None
            self._say(f"warning: a datagram of {place[0]} port {place[1]} with {fault.name}")
            self._transport.sendto(message(version, Kind.HEADER_NACK, bytes((fault,))), place)
        else:
            self._answer(Kind(header.kind), data[HEADER.size :], version, place)

    def _answer(self, kind: Kind, payload: bytes, version: int, place: Place) -> None:
        if kind is Kind.ENTITY_STATUS_REQUEST:
            state = _GATEWAY + bytes((min(self._limits.clients, 0xFF), min(self._count(), 0xFF)))
            longest = min(self._limits.message, 0xFFFFFFFF).to_bytes(4)
            self._transport.sendto(message(version, Kind.ENTITY_STATUS_RESPONSE, state, longest), place)
        elif kind is Kind.POWER_MODE_REQUEST:
            mode = self._vehicle.power_mode
            now = mode() if callable(mode) else mode
            self._transport.sendto(message(version, Kind.POWER_MODE_RESPONSE, bytes((now,))), place)
        elif kind is Kind.IDENTIFICATION_REQUEST or payload in (self._vehicle.eid, self._vehicle.vin.encode()):
            self._identify_later(version, place)

    def _identify_later(self, version: int, place: Place) -> None:
        """Reply after a random time, so that not all entities reply at once; too many at a time get none."""
        if len(self._waiting) >= _MOST_WAITING:
            self._say(f"warning: {place[0]} port {place[1]}: too many ask for identification")
            return

        def reply() -> None:
            self._waiting.discard(timer)
            self._transport.sendto(self._identification(version), place)

        timer = asyncio.get_running_loop().call_later(self._delay_s(), reply)
        self._waiting.add(timer)

    def _delay_s(self) -> float:
        return random.uniform(0, self._timers.announce_wait)

    def _identification(self, version: int) -> bytes:
        vehicle = self._vehicle
        vin = vehicle.vin.encode() or bytes(VIN_SIZE)  # zeros: the pattern for none
        synchronised = _SYNCHRONISED if vehicle.vin else _UNSYNCHRONISED
        return message(
            version, Kind.ANNOUNCEMENT, vin, vehicle.address, vehicle.eid, vehicle.gid, _NO_ACTION, synchronised
        )
