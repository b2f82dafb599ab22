"""The one place where an errno of the kernel becomes an exception that says what happened and what to do."""

import errno
from typing import Final

from ..errors import (
    EADDRNOTAVAIL,
    EBADMSG,
    ECANCELED,
    ECOMM,
    EILSEQ,
    EMSGSIZE,
    ENETDOWN,
    ENOBUFS,
    ERRNO_TO_ERROR,
    ETIMEDOUT,
    InterfaceNotFoundError,
    IsoTpError,
    MessageSizeError,
    NotBoundError,
    SocketClosedError,
    TransferAbortedError,
    TransmitQueueFullError,
    TransmitTimeoutError,
    UnknownOutcomeError,
)
from ..linux.interface import is_removed
from ..linux.modules import has_max_pdu_size_parameter, max_pdu_size
from ..linux.traits import FIXED_MAX_PDU_SIZE, HIGHEST_MAX_PDU_SIZE

# What may stand in the socket's one error slot, by the direction it belongs to.
TRANSMISSION_ERRNOS: Final = frozenset({ECOMM, EMSGSIZE})
RECEPTION_ERRNOS: Final = frozenset({ETIMEDOUT, EILSEQ})
INTERFACE_ERRNOS: Final = frozenset({ENETDOWN, errno.ENODEV})
SLOT_ERRNOS: Final = TRANSMISSION_ERRNOS | RECEPTION_ERRNOS | INTERFACE_ERRNOS | {EBADMSG}

_OWN: Final[dict[int, type[IsoTpError]]] = {errno.EIO: UnknownOutcomeError, ECANCELED: TransferAbortedError}
"""The numbers of failures that the kernel has no number for."""

_UP: Final = "sudo ip link set {interface} up"


def transmission_failed(
    number: int, size: int, segmented: bool, interface: str, link: str, *, is_stuck: bool | None = None
) -> IsoTpError:
    """The error of a message of `size` bytes that the kernel took and that did not get through.

    Args:
        number: the errno; EIO: the outcome cannot be known.
        size: length of the message in bytes.
        segmented: whether it needed flow control from the receiver.
        interface: name of the CAN interface.
        link: the link in words.
        is_stuck: for ECOMM, whether a frame did not get onto the bus; None: not known.
    """
    number = _gone(number, interface)
    if number == ECOMM and (is_stuck or not segmented):
        return TransmitTimeoutError(
            f"{'a frame of ' * segmented}{size} bytes did not get onto the bus within 2 s",
            link=link,
            remedy="check that another node is on the bus, the bit rate, and that the interface is not bus-off",
        )
    texts: dict[int, tuple[str, str | None]] = {
        ECOMM: (
            f"no flow control within 1 s while sending {size} bytes"
            + (", or a frame of them did not get onto the bus: the kernel does not tell which" * (is_stuck is None)),
            "check that the receiver is awake, that its rxid is our txid and its txid our rxid, and, on a real bus, "
            "the wiring and the bit rate",
        ),
        EMSGSIZE: (
            f"the receiver has no room for a message of {size} bytes",
            "send less at a time, or give the receiver a larger buffer (Linux: max_pdu_size)",
        ),
        EBADMSG: (
            f"malformed flow control while sending {size} bytes: unknown flow status, too short, or wrong padding",
            "look at the receiver's frames (candump); if it does not pad, leave RX_PADDING and CHK_PAD_* out",
        ),
        ENETDOWN: (f"{interface} went down while sending {size} bytes", _UP.format(interface=interface)),
        errno.ENODEV: (f"{interface} was removed while sending {size} bytes", "close this socket, bind a new one"),
        ECANCELED: (
            f"a message of {size} bytes was given up before all of it was sent: it was aborted, or the socket closed",
            None,
        ),
        errno.EIO: (
            f"{size} bytes were sent, and whether they got through cannot be known: a reception broke off at the same "
            "time, and the kernel has one place for both errors",
            "ask the receiver",
        ),
    }
    what, remedy = texts[number]
    return (_OWN.get(number) or ERRNO_TO_ERROR[number])(what, link=link, remedy=remedy)


def reception_failed(number: int, interface: str | None, link: str) -> IsoTpError:
    """The error of a reception that broke off."""
    number = _gone(number, interface)
    texts = {
        ETIMEDOUT: (
            "a message began to arrive and broke off: no consecutive frame for 1 s",
            "ask the sender again; if it happens often, look for lost frames (ip -statistics link)",
        ),
        EILSEQ: (
            "a message was dropped half-way: a consecutive frame was lost, doubled or out of order",
            "ask the sender again; set a larger stmin or a smaller bs if this node cannot keep up",
        ),
        EBADMSG: (
            "a message was dropped: the padding of a frame is not what RX_PADDING and CHK_PAD_* ask for",
            "set rxpad to the sender's padding byte, or leave the CHK_PAD flags out",
        ),
        ENETDOWN: (f"{interface} went down", _UP.format(interface=interface)),
        errno.ENODEV: (f"{interface} was removed", "close this socket and bind a new one"),
    }
    what, remedy = texts[number]
    return ERRNO_TO_ERROR[number](what, link=link, remedy=remedy)


def _gone(number: int, interface: str | None) -> int:
    """ENODEV for the ENETDOWN of an interface that was removed."""
    return errno.ENODEV if number == ENETDOWN and (interface is None or is_removed(interface)) else number


def send_refused(e: OSError, size: int, single_frame_max: int | None, interface: str | None, link: str) -> OSError:
    """The error of a message that the kernel did not take; `e` itself where there is nothing to add.

    `single_frame_max`: the limit in bytes, where only single frames can be sent.
    """
    if e.errno == ENETDOWN:
        remedy = _UP.format(interface=interface)
        return ERRNO_TO_ERROR[ENETDOWN](f"{interface} is down, nothing was sent", link=link, remedy=remedy)
    if e.errno == ENOBUFS:
        return TransmitQueueFullError(
            f"the transmit queue of {interface} is full, nothing was sent",
            link=link,
            remedy=f"sudo ip link set {interface} txqueuelen 1000; check that the bus is not stuck",
        )
    if e.errno == errno.EINVAL:
        return _wrong_size(size, single_frame_max, link)
    return unusable(e, interface, link)


def _wrong_size(size: int, single_frame_max: int | None, link: str) -> MessageSizeError:
    if size == 0:
        return MessageSizeError("an empty message cannot be sent: ISO-TP has no frame for it", link=link)
    if single_frame_max is not None and size > single_frame_max:
        return MessageSizeError(
            f"{size} bytes do not fit a single frame: to many receivers at once at most {single_frame_max} go",
            link=link,
            remedy="send it to each receiver by its physical address",
        )
    limit = f"{max_pdu_size()} bytes"
    remedy = "send less at a time"
    if not has_max_pdu_size_parameter():
        limit = f"{FIXED_MAX_PDU_SIZE} bytes, before Linux 5.18 less"
    elif size <= HIGHEST_MAX_PDU_SIZE:
        remedy = f"sudo rmmod can-isotp && sudo modprobe can-isotp max_pdu_size={size}"
    return MessageSizeError(f"{size} bytes are more than this kernel sends ({limit})", link=link, remedy=remedy)


def unusable(e: OSError, interface: str | None, link: str) -> OSError:
    """The error of a call on a socket that is closed, not bound, or whose interface is gone; else `e` itself."""
    if e.errno == errno.EBADF:
        return SocketClosedError("the socket is closed", link=link)
    if e.errno in (EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO):
        if interface is None:
            return NotBoundError("the socket is not bound", remedy="bind(interface, rxid=..., txid=...) first")
        return InterfaceNotFoundError(
            f"{interface} was removed", link=link, remedy="close this socket and bind a new one"
        )
    return e
