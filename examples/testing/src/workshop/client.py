"""Client: what a workshop asks an ECU."""

from collections.abc import Callable

import isotp

NEGATIVE = 0x7F
PENDING = 0x78
LETTERS = "PCBU"


class RefusedError(Exception):
    """The ECU refused a request."""

    def __init__(self, service: int, code: int) -> None:
        super().__init__(f"service 0x{service:02X} was refused with 0x{code:02X}")
        self.code = code


class NoAnswerError(Exception):
    """The ECU did not answer."""


class Client:
    """Talks to one ECU over a bound socket of any kind.

    Args:
        sock: the socket; its timeout is set by the client.
        answers_within: seconds until an answer, or until the ECU says that it needs longer.
        done_within: seconds until the next answer after that.
        attempts: how often a request is sent before the client gives up.
    """

    def __init__(
        self, sock: isotp.IsoTpSocket, *, answers_within: float = 1.0, done_within: float = 5.0, attempts: int = 3
    ) -> None:
        self._sock = sock
        self._answers_within = answers_within
        self._done_within = done_within
        self._attempts = attempts

    def request(self, data: bytes) -> bytes:
        """Send a request and return the answer without its service.

        Raises:
            RefusedError: the ECU refused it.
            NoAnswerError: it did not answer, however often it was asked.
        """
        for _ in range(self._attempts):
            self._sock.settimeout(self._answers_within)
            try:
                self._sock.send(data)
                return self._answer(data[0])
            except (TimeoutError, isotp.TransferError):  # nothing came, or frames were lost
                continue
        raise NoAnswerError(f"no answer to {data.hex(' ')} after {self._attempts} attempts")

    def _answer(self, service: int) -> bytes:
        while True:
            answer = self._sock.recv()
            if answer[:2] == bytes((NEGATIVE, service)):
                if answer[2] != PENDING:
                    raise RefusedError(service, answer[2])
                self._sock.settimeout(self._done_within)
            elif answer[0] == service | 0x40:
                return answer[1:]

    def read(self, number: int) -> bytes:
        """The value of a data identifier."""
        answer = self.request(b"\x22" + number.to_bytes(2, "big"))
        return answer[2:]

    def vin(self) -> str:
        """The vehicle identification number."""
        return self.read(0xF190).decode("ascii")

    def trouble_codes(self) -> list[str]:
        """The confirmed trouble codes, such as "P0301"."""
        answer = self.request(b"\x19\x02\x08")[2:]
        found = [int.from_bytes(answer[at : at + 3], "big") for at in range(0, len(answer), 4)]
        return [f"{LETTERS[one >> 22]}{one >> 8 & 0x3FFF:04X}" for one in found]

    def unlock(self, level: int, key_for: Callable[[bytes], bytes]) -> None:
        """Unlock a level of security access; `key_for` returns the key for a seed."""
        self.request(bytes((0x10, 0x03)))
        seed = self.request(bytes((0x27, level)))[1:]
        self.request(bytes((0x27, level + 1)) + key_for(seed))

    def erase(self) -> None:
        """Erase the memory; it takes an ECU many seconds."""
        self.request(bytes.fromhex("31 01 FF 00"))
