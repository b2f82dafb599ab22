"""STmin, the separation time byte of a flow control (ISO 15765-2:2016, 9.6.5.4)."""

from typing import Final

RESERVED_NS: Final = 127_000_000  # a reserved value means the longest time


class STmin(int):
    """The raw byte of the standard, an `int` with the time that it means.

    0x00 to 0x7F are 0 to 127 ms, 0xF1 to 0xF9 are 100 to 900 us; all others are reserved and read as 127 ms.

    >>> STmin.from_ms(5), STmin.from_us(300)
    (STmin(0x05: 5 ms), STmin(0xF3: 300 us))
    """

    def __new__(cls, raw: int = 0) -> "STmin":
        """The byte `raw`, 0 to 255; ValueError otherwise."""
        if not 0 <= raw <= 0xFF:
            raise ValueError(f"STmin {raw:#x} is not a byte: allowed is 0 to 0xFF")
        return super().__new__(cls, raw)

    @classmethod
    def from_ms(cls, ms: int) -> "STmin":
        """The byte for `ms` milliseconds, a whole number from 0 to 127; ValueError otherwise."""
        if not 0 <= ms <= 127 or ms != int(ms):
            raise ValueError(f"STmin cannot say {ms} ms: allowed are whole milliseconds from 0 to 127")
        return cls(int(ms))

    @classmethod
    def from_us(cls, us: int) -> "STmin":
        """The byte for `us` microseconds: 100 to 900 by hundreds, or whole milliseconds; else ValueError."""
        if us in range(100, 1000, 100):
            return cls(0xF0 + int(us) // 100)
        if 0 <= us <= 127_000 and us % 1000 == 0:
            return cls(int(us) // 1000)
        raise ValueError(
            f"STmin cannot say {us} us: allowed are 100 to 900 us in steps of 100, "
            "and whole milliseconds up to 127000 us"
        )

    @property
    def ns(self) -> int:
        """The time in nanoseconds; 127 ms for a reserved byte."""
        if self <= 0x7F:
            return int(self) * 1_000_000
        if 0xF1 <= self <= 0xF9:
            return (int(self) - 0xF0) * 100_000
        return RESERVED_NS

    @property
    def is_reserved(self) -> bool:
        """Whether the standard gives this byte no meaning of its own."""
        return 0x80 <= self <= 0xF0 or self >= 0xFA

    def __repr__(self) -> str:
        if self.is_reserved:
            return f"STmin(0x{int(self):02X}: reserved, read as 127 ms)"
        time = f"{self.ns // 1_000_000} ms" if self <= 0x7F else f"{self.ns // 1000} us"
        return f"STmin(0x{int(self):02X}: {time})"
