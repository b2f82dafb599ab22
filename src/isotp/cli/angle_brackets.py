"""The protocol of isotpserver: messages in hexadecimal between < and >, anything between them is ignored."""

from typing import Final

_OPEN, _CLOSE = b"<", b">"
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_SPACES: Final = frozenset(b" \t\r\n")


def wrap(message: bytes) -> bytes:
    """`message` as it goes to a client."""
    return b"<%s>" % message.hex().upper().encode()


class Unwrapper:
    """The messages in a stream of bytes, however it is cut into pieces.

    Args:
        longest: bytes of the longest message; of a longer one nothing is kept.
    """

    def __init__(self, longest: int) -> None:
        self._digits_max = 2 * longest
        self._digits: bytearray | None = None  # of the message that has begun
        self._fault = ""

    def feed(self, data: bytes) -> list[bytes | str]:
        """Take some bytes: each message that is complete now, or a sentence about one that is no message."""
        found: list[bytes | str] = []
        for byte in data:
            if byte == _OPEN[0]:
                self._digits, self._fault = bytearray(), ""
            elif self._digits is None:
                continue
            elif byte == _CLOSE[0]:
                found.append(self._fault or self._message(self._digits))
                self._digits = None
            elif byte in _HEX:
                self._put(byte)
            elif byte not in _SPACES:
                self._fault = self._fault or f"{chr(byte)!r} is not hexadecimal: the message was not sent"
        return found

    def _put(self, digit: int) -> None:
        assert self._digits is not None
        if len(self._digits) < self._digits_max:
            self._digits.append(digit)
        else:
            self._fault = f"longer than {self._digits_max // 2} bytes: the message was not sent"

    @staticmethod
    def _message(digits: bytearray) -> bytes | str:
        if not digits:
            return "an empty message was not sent"
        if len(digits) % 2:
            return f"an odd number of digits ({len(digits)}): the message was not sent"
        return bytes.fromhex(digits.decode())
