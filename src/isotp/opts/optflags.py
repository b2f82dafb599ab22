"""The behaviour flags of a kernel ISO-TP socket, and which kernels act on them."""

from enum import IntFlag
from typing import Final

from ..errors import OptionError
from ..linux.release import kernel_release
from ..linux.traits import CAN_ISOTP, FLAGS


class flags(IntFlag):  # noqa: N801 - the name users know
    """Behaviour flags, under their short name and that of linux/can/isotp.h."""

    LISTEN_MODE = 0x0001
    """Receive without ever sending flow control."""
    EXTEND_ADDR = 0x0002
    """Put `ext_address` before the N_PCI (extended and mixed addressing)."""
    TX_PADDING = 0x0004
    """Pad the frames sent with `txpad`."""
    RX_PADDING = 0x0008
    """Expect received frames to be padded with `rxpad`; checked with CHK_PAD_LEN and CHK_PAD_DATA."""
    CHK_PAD_LEN = 0x0010
    """Refuse received frames of the wrong padded length."""
    CHK_PAD_DATA = 0x0020
    """Refuse received frames whose padding is not `rxpad`."""
    HALF_DUPLEX = 0x0040
    """Do not receive while sending, and the reverse."""
    FORCE_TXSTMIN = 0x0080
    """Send with `tx_stmin` whatever the receiver asks for."""
    FORCE_RXSTMIN = 0x0100
    """Ignore consecutive frames that come sooner than `rx_stmin`."""
    RX_EXT_ADDR = 0x0200
    """Expect `rx_ext_address`, not `ext_address`, in received frames."""
    WAIT_TX_DONE = 0x0400
    """Let send() block until the message is sent. `isotp.socket` confirms every send without it."""
    SF_BROADCAST = 0x0800
    """Send single frames to many receivers (functional addressing); the socket does not receive."""
    CF_BROADCAST = 0x1000
    """Send segmented messages without flow control; the socket does not receive."""
    DYN_FC_PARMS = 0x2000
    """Take BS and STmin from every flow control instead of the first one (Linux 6.9)."""

    CAN_ISOTP_LISTEN_MODE = LISTEN_MODE
    CAN_ISOTP_EXTEND_ADDR = EXTEND_ADDR
    CAN_ISOTP_TX_PADDING = TX_PADDING
    CAN_ISOTP_RX_PADDING = RX_PADDING
    CAN_ISOTP_CHK_PAD_LEN = CHK_PAD_LEN
    CAN_ISOTP_CHK_PAD_DATA = CHK_PAD_DATA
    CAN_ISOTP_HALF_DUPLEX = HALF_DUPLEX
    CAN_ISOTP_FORCE_TXSTMIN = FORCE_TXSTMIN
    CAN_ISOTP_FORCE_RXSTMIN = FORCE_RXSTMIN
    CAN_ISOTP_RX_EXT_ADDR = RX_EXT_ADDR
    CAN_ISOTP_WAIT_TX_DONE = WAIT_TX_DONE
    CAN_ISOTP_SF_BROADCAST = SF_BROADCAST
    CAN_ISOTP_CF_BROADCAST = CF_BROADCAST
    CAN_ISOTP_DYN_FC_PARMS = DYN_FC_PARMS


_ALL_FLAGS: Final = 0x3FFF


def kernel_honours(flag: flags, release: tuple[int, int] | None = None) -> bool | None:
    """Whether the running kernel (or that of `release`) acts on `flag`; None: not known.

    The kernel stores flags it does not know and reads them back, so this goes by its release.
    """
    release = release or kernel_release()
    if release is None or not CAN_ISOTP.is_in(release):
        return None
    if flag & ~_ALL_FLAGS:
        return False
    return all(FLAGS.get(str(one.name), CAN_ISOTP).is_in(release) for one in flag)


def check_flags(bits: flags) -> None:
    """Refuse flags that do not exist, that the running kernel ignores, or that exclude each other.

    Raises:
        OptionError: naming the flags and the reason.
    """
    _check_known(bits)
    if ignored := [f for f in flags(bits & _ALL_FLAGS) if kernel_honours(f) is False]:
        named = ", ".join(f"{f.name} ({FLAGS[str(f.name)]})" for f in ignored)
        raise OptionError(
            f"this kernel ({'.'.join(map(str, kernel_release() or ()))}) stores and ignores {named}",
            remedy="leave it out, or use a newer kernel",
        )
    check_combination(bits)


def check_combination(bits: flags) -> None:
    """Refuse flags that do not exist, or that exclude each other, for kernel and engine alike.

    Raises:
        OptionError: naming the flags and the reason.
    """
    _check_known(bits)
    if bits & flags.SF_BROADCAST and bits & flags.CF_BROADCAST:
        raise OptionError("SF_BROADCAST and CF_BROADCAST exclude each other")
    if bits & flags.LISTEN_MODE and bits & (flags.SF_BROADCAST | flags.CF_BROADCAST):
        raise OptionError("LISTEN_MODE only receives and the BROADCAST flags only send: both leave nothing")
    if bits & flags.RX_EXT_ADDR and not bits & flags.EXTEND_ADDR:
        raise OptionError("RX_EXT_ADDR (rx_ext_address) does nothing without EXTEND_ADDR (ext_address)")
    if bits & flags.CHK_PAD_DATA and not bits & flags.RX_PADDING:
        raise OptionError("CHK_PAD_DATA has nothing to compare with without RX_PADDING (rxpad)")


def _check_known(bits: flags) -> None:
    if unknown := bits & ~_ALL_FLAGS:
        raise OptionError(f"no such flag: {int(unknown):#x}; flags go up to {_ALL_FLAGS:#x}")
