"""Numbers and layouts of Linux that Python's socket module has no names for, or not on every platform."""

import struct
from typing import Final

SO_RCVBUFFORCE: Final = 33  # asm-generic/socket.h
SO_TIMESTAMPNS: Final = 35
SO_RXQ_OVFL: Final = 40
SO_MEMINFO: Final = 55
SK_MEMINFO_DROPS: Final = 8  # linux/sock_diag.h: index into what SO_MEMINFO gives

TIMESPEC: Final = struct.Struct("@ll")
U32: Final = struct.Struct("=I")
