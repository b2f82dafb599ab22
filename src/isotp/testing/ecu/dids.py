"""Data identifiers: services 0x22 and 0x2E."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from .nrc import Nrc, Refused
from .rules import Request, as_bytes

DidValue = bytes | str | Callable[[Request], Any]


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
