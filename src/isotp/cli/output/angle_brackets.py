"""The protocol of isotpserver: messages in hexadecimal between < and >, each to a client on a line of its own."""

import re
from typing import Final

_BRACKETS: Final = re.compile(rb"([<>])")
_NOT_HEX: Final = re.compile(rb"[^0-9A-Fa-f]")
_SPACES: Final = b" \t\r\n"


def wrap(message: bytes) -> bytes:
    """`message` as it goes to a client."""
    return b"<%s>\n" % message.hex().upper().encode()


class Unwrapper:
    """The messages in a stream of bytes, however it is cut into pieces.

    Args:
        longest: bytes of the longest message; of a longer one nothing more is kept.
    """

    def __init__(self, longest: int) -> None:
        self._digits_max = 2 * longest
        self._digits: bytearray | None = None  # of the message that has begun

    def __len__(self) -> int:
        """How many digits it keeps."""
        return len(self._digits or b"")

    def feed(self, data: bytes) -> list[bytes | str]:
        """Take some bytes: each message that is complete now, or a sentence about one that is no message."""
        found: list[bytes | str] = []
        for piece in _BRACKETS.split(data):
            if piece == b"<":
                self._digits = bytearray()
            elif self._digits is None:
                continue
            elif piece == b">":
                found.append(self._message(self._digits))
                self._digits = None
            else:
                room = self._digits_max + 1 - len(self._digits)
                self._digits += piece.translate(None, _SPACES)[:room]
        return found

    def _message(self, digits: bytearray) -> bytes | str:
        if wrong := _NOT_HEX.search(digits):
            return f"{wrong[0].decode(errors='backslashreplace')!r} is not hexadecimal: the message was not sent"
        if len(digits) > self._digits_max:
            return f"longer than {self._digits_max // 2} bytes (--max-message): the message was not sent"
        if len(digits) % 2 or not digits:
            return f"{len(digits)} digits make no bytes: the message was not sent"
        return bytes.fromhex(digits.decode())
