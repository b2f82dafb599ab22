"""A simulated ECU that speaks UDS over any of our blocking sockets, in a thread."""

import threading
from collections.abc import Callable

from udsoncan import Request, Response

import isotp

P2_S, P2_STAR_S = 20, 30  # generous, for a machine that does other things as well
BLOCK = 4095
"""Bytes of a TransferData request, at most."""
PENDING = Response.Code.RequestCorrectlyReceived_ResponsePending
DIDS = {0xF100 + number: bytes((number + i) & 0xFF for i in range(1 + 3 * number)) for number in range(200)}
"""Data identifiers with values of 1 to 598 bytes."""


def key_of(seed: bytes) -> bytes:
    """The key that unlocks the ECU."""
    return bytes(byte ^ 0xA5 for byte in seed)


class RefusedError(Exception):
    """A negative response."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Ecu:
    """Answers requests on a bound socket, and on one bound to a functional address if it is given one.

    Services: DiagnosticSessionControl, ECUReset (without effect), SecurityAccess, ReadDataByIdentifier, RoutineControl
    (which takes time), RequestDownload, TransferData, RequestTransferExit, TesterPresent. A download needs the
    programming session, and to be unlocked.
    """

    def __init__(self, socket: isotp.IsoTpSocket, functional: isotp.IsoTpSocket | None = None) -> None:
        self.session = 1
        self.unlocked = False
        self.received = bytearray()
        """What was downloaded."""
        self.testers_present = 0
        """How many TesterPresent requests wanted no response."""
        self._block = 0
        self._socket = socket
        self._requests = [socket, functional] if functional else [socket]
        self._handlers: dict[int, Callable[[bytes], bytes]] = {
            0x10: self._change_session,
            0x11: lambda data: data,
            0x22: self._read,
            0x27: self._access,
            0x31: self._routine,
            0x34: self._begin_download,
            0x36: self._take_block,
            0x37: lambda data: b"",
            0x3E: self._note_tester,
        }
        self._threads = [threading.Thread(target=self._serve, args=(each,)) for each in self._requests]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Close the sockets and end the threads."""
        for each in self._requests:
            each.close()
        for thread in self._threads:
            thread.join()

    def _serve(self, requests: isotp.IsoTpSocket) -> None:
        while True:
            try:
                response = self.answer(requests.recv())
                if response:
                    self._socket.send(response)
            except isotp.SocketClosedError:
                return
            except isotp.TransferError:  # the tester gave up
                pass

    def answer(self, payload: bytes) -> bytes:
        """The response to a request; empty if none is wanted."""
        request = Request.from_payload(payload)
        service = payload[0]
        handler = self._handlers.get(service)
        if handler is None:
            return bytes((0x7F, service, Response.Code.ServiceNotSupported))
        data = payload[1:]
        if request.service is not None and request.service.use_subfunction():
            data = bytes((data[0] & 0x7F,)) + data[1:]
        try:
            response = bytes((service + 0x40,)) + handler(data)
        except RefusedError as e:
            return bytes((0x7F, service, e.code))
        return b"" if request.suppress_positive_response else response

    def _change_session(self, data: bytes) -> bytes:
        self.session, self.unlocked = data[0], False
        return data + (P2_S * 1000).to_bytes(2) + (P2_STAR_S * 100).to_bytes(2)

    def _access(self, data: bytes) -> bytes:
        seed = b"\x12\x34\x56\x78"
        if data[0] % 2:
            return data[:1] + seed
        if data[1:] != key_of(seed):
            raise RefusedError(Response.Code.InvalidKey)
        self.unlocked = True
        return data[:1]

    def _read(self, data: bytes) -> bytes:
        wanted = [int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2)]
        if not DIDS.keys() >= set(wanted):
            raise RefusedError(Response.Code.RequestOutOfRange)
        return b"".join(did.to_bytes(2) + DIDS[did] for did in wanted)

    def _routine(self, data: bytes) -> bytes:
        for _ in range(3):
            self._ask_for_time(0x31)
        return data[:3]

    def _begin_download(self, data: bytes) -> bytes:
        if self.session != 2 or not self.unlocked:
            raise RefusedError(Response.Code.SecurityAccessDenied)
        self.received.clear()
        self._block = 0
        return b"\x20" + BLOCK.to_bytes(2)

    def _take_block(self, data: bytes) -> bytes:
        self._block = (self._block + 1) & 0xFF
        if data[0] != self._block:
            raise RefusedError(Response.Code.WrongBlockSequenceCounter)
        if self._block % 8 == 0:
            self._ask_for_time(0x36)
        self.received += data[1:]
        return data[:1]

    def _ask_for_time(self, service: int) -> None:
        self._socket.send(bytes((0x7F, service, PENDING)))

    def _note_tester(self, data: bytes) -> bytes:
        self.testers_present += 1
        return data
