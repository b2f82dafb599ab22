"""Numbers and layouts of Linux: by value, because Python lacks some names, and has others on Linux only.

The numbers of asm-generic/socket.h hold on every processor that CPython supports Linux on (x86, ARM, RISC-V, PowerPC,
s390, LoongArch). Layouts are those of the process: native byte order, and `long` of 4 or 8 bytes.
"""

import struct
import sys
from typing import Final, Literal

# linux/socket.h
AF_CAN: Final = 29
MSG_CONFIRM: Final = 0x800

# asm-generic/poll.h
POLLIN: Final = 0x01
POLLOUT: Final = 0x04
POLLERR: Final = 0x08
POLLHUP: Final = 0x10

# asm-generic/socket.h
SO_RCVBUFFORCE: Final = 33
SO_TIMESTAMPNS: Final = 35
SO_RXQ_OVFL: Final = 40
SO_MEMINFO: Final = 55
SK_MEMINFO_DROPS: Final = 8  # linux/sock_diag.h: index into the u32 values of SO_MEMINFO

# linux/sockios.h, linux/if.h, linux/if_arp.h
SIOCGIFFLAGS: Final = 0x8913
SIOCGIFMTU: Final = 0x8921
SIOCGIFHWADDR: Final = 0x8927
IFF_UP: Final = 0x1
IFF_RUNNING: Final = 0x40
ARPHRD_CAN: Final = 280

# linux/can.h
CAN_RAW: Final = 1
CAN_ISOTP: Final = 6
CAN_RTR_FLAG: Final = 0x40000000
CAN_ERR_FLAG: Final = 0x20000000
CAN_MTU: Final = 16
CANFD_MTU: Final = 72
CANFD_BRS: Final = 0x01  # bit rate switch: the faster bit rate for the data
CANFD_ESI: Final = 0x02  # error state indicator of the sender
CAN_FRAME: Final = struct.Struct("=IBB2x8s")
CANFD_FRAME: Final = struct.Struct("=IBB2x64s")
SOCKADDR_CAN: Final = struct.Struct("=H2xi16x")  # address family, index of the interface
CAN_FILTER: Final = struct.Struct("=II")  # can_id, mask

# linux/can/raw.h
SOL_CAN_RAW: Final = 101
CAN_RAW_FILTER: Final = 1
CAN_RAW_RECV_OWN_MSGS: Final = 4
CAN_RAW_FD_FRAMES: Final = 5
CAN_RAW_FILTER_MAX: Final = 512

# linux/can/isotp.h
SOL_CAN_ISOTP: Final = 106
CAN_ISOTP_OPTS: Final = 1
CAN_ISOTP_RECV_FC: Final = 2
CAN_ISOTP_TX_STMIN: Final = 3
CAN_ISOTP_RX_STMIN: Final = 4
CAN_ISOTP_LL_OPTS: Final = 5
ISOTP_OPTIONS: Final = struct.Struct("=IIBBBB")  # flags, frame_txtime, ext_address, txpad, rxpad, rx_ext_address
ISOTP_FC_OPTIONS: Final = struct.Struct("=BBB")  # bs, stmin, wftmax
ISOTP_LL_OPTIONS: Final = struct.Struct("=BBB")  # mtu, tx_dl, tx_flags
ISOTP_FRAME_TXTIME_ZERO: Final = 0xFFFFFFFF  # a plain 0 means "unchanged" to the kernel

U32: Final = struct.Struct("=I")

# Room for the control messages of one frame or message: a struct timespec and a u32, with their headers.
CONTROL_SIZE: Final = 64

ByteOrder = Literal["little", "big"]


def timespec_ns(value: bytes, byteorder: ByteOrder = sys.byteorder) -> int:
    """A struct timespec, of 8 bytes (32-bit process) or 16, in nanoseconds."""
    half = len(value) // 2
    return int.from_bytes(value[:half], byteorder) * 1_000_000_000 + int.from_bytes(value[half:], byteorder)


def timestamp_and_drops(
    control: list[tuple[int, int, bytes]], byteorder: ByteOrder = sys.byteorder
) -> tuple[int, int | None]:
    """What SO_TIMESTAMPNS and SO_RXQ_OVFL add to a received frame or message.

    Returns:
        When the kernel received it (nanoseconds since the epoch; 0: not known), and how many were dropped on this
        socket before it (None: not known; the kernel leaves it out while it is 0).
    """
    timestamp_ns, drops = 0, None
    for _, kind, value in control:
        if kind == SO_TIMESTAMPNS:
            timestamp_ns = timespec_ns(value, byteorder)
        elif kind == SO_RXQ_OVFL:
            drops = int.from_bytes(value, byteorder)
    return timestamp_ns, drops
