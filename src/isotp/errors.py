"""What can go wrong: one tree of errors for the kernel and the engine.

Every error is an `OSError` with the errno that the Linux kernel uses for the same event, so code for plain sockets
keeps working. A `TransferError` also has the N_Result of ISO 15765-2:2016, 8.3.7.

"Nothing arrived in the time you gave" is the builtin `TimeoutError` and never an `IsoTpError`. "The message broke off
half-way" is `ConsecutiveFrameTimeoutError` and never a `TimeoutError`.
"""

import errno as _errno
import sys
import warnings
from enum import Enum
from typing import Any, ClassVar

_NAMES: dict[int, str] = {}


def _linux(name: str, number: int) -> int:
    """The errno `name` of this platform, or Linux's number where the platform has none (ECOMM on macOS)."""
    number = int(getattr(_errno, name, number))
    _NAMES[number] = name
    return number


EACCES = _linux("EACCES", 13)
ECOMM = _linux("ECOMM", 70)
EBADMSG = _linux("EBADMSG", 74)
EILSEQ = _linux("EILSEQ", 84)
EMSGSIZE = _linux("EMSGSIZE", 90)
EOPNOTSUPP = _linux("EOPNOTSUPP", 95)
EPROTONOSUPPORT = _linux("EPROTONOSUPPORT", 93)
EADDRNOTAVAIL = _linux("EADDRNOTAVAIL", 99)
ENETDOWN = _linux("ENETDOWN", 100)
ENOBUFS = _linux("ENOBUFS", 105)
EISCONN = _linux("EISCONN", 106)
ETIMEDOUT = _linux("ETIMEDOUT", 110)
ECANCELED = _linux("ECANCELED", 125)


class N_Result(Enum):  # noqa: N801 - the standard's own name
    """How a transfer ended (ISO 15765-2:2016, 8.3.7)."""

    N_OK = "the message was transferred"
    N_TIMEOUT_A = "a frame was not on the bus in time (N_As, N_Ar)"
    N_TIMEOUT_Bs = "no flow control in time (N_Bs)"
    N_TIMEOUT_Cr = "no consecutive frame in time (N_Cr)"
    N_WRONG_SN = "a consecutive frame had the wrong sequence number"
    N_INVALID_FS = "a flow control had an unknown flow status"
    N_UNEXP_PDU = "a new message began before the last one was complete"
    N_WFT_OVRN = "the receiver sent more WAITs than N_WFTmax allows"
    N_BUFFER_OVFLW = "the receiver has no room for a message of this length"
    N_ERROR = "any other failure"


class IsoTpError(OSError):
    """Any failure of this library.

    Args:
        what: what happened, in one line.
        link: where: interface and identifiers.
        remedy: what to do about it, in one line.
        errno: the errno, where it is not the class's own.
    """

    n_result: ClassVar[N_Result | None] = None
    default_errno: ClassVar[int | None] = _errno.EIO

    def __init__(
        self,
        what: str,
        *,
        link: str | None = None,
        remedy: str | None = None,
        errno: int | None = None,
    ) -> None:
        self.what = what
        self.link = link
        self.remedy = remedy
        super().__init__(self.default_errno if errno is None else errno, what)

    def __str__(self) -> str:
        names = [self.n_result.name] if self.n_result else []
        if isinstance(self.errno, int):
            names.append(_NAMES.get(self.errno) or _errno.errorcode.get(self.errno, f"errno {self.errno}"))
        lines = [f"{self.what} ({', '.join(names)})" if names else self.what]
        if self.link:
            lines.append(f"  link: {self.link}")
        if self.remedy:
            lines.append(f"  to do: {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.errno, self.__dict__)


def _rebuild(cls: type[IsoTpError], errno: int, state: dict[str, Any]) -> IsoTpError:
    error = cls(state["what"], errno=errno)
    error.__dict__.update(state)
    return error


# --- a transfer that failed: N_USData.confirm and N_USData.indication with a result other than N_OK


class TransferError(IsoTpError):
    """A message was not transferred; `n_result` is the reason as the standard names it."""

    n_result = N_Result.N_ERROR


class TransmitTimeoutError(TransferError):
    """A frame was not on the bus in time: no other node acknowledges it, or the controller is bus-off."""

    n_result = N_Result.N_TIMEOUT_A
    default_errno = ECOMM


class FlowControlTimeoutError(TransferError):
    """The receiver did not answer with flow control in time: it is absent, asleep, or the ids are swapped."""

    n_result = N_Result.N_TIMEOUT_Bs
    default_errno = ECOMM


class ConsecutiveFrameTimeoutError(TransferError):
    """A message began to arrive and broke off."""

    n_result = N_Result.N_TIMEOUT_Cr
    default_errno = ETIMEDOUT


class WrongSequenceNumberError(TransferError):
    """A consecutive frame was lost, doubled or out of order: the message being received was dropped."""

    n_result = N_Result.N_WRONG_SN
    default_errno = EILSEQ


class InvalidCanDataError(TransferError):
    """A frame of the peer was malformed: unknown flow status, too short, or wrong padding."""

    n_result = N_Result.N_INVALID_FS
    default_errno = EBADMSG


class ReceptionInterruptedError(TransferError):
    """A new message began before the one being received was complete."""

    n_result = N_Result.N_UNEXP_PDU
    default_errno = EBADMSG


class ReceptionInterruptedWithSingleFrameError(ReceptionInterruptedError):
    """A single frame came before the message being received was complete."""


class ReceptionInterruptedWithFirstFrameError(ReceptionInterruptedError):
    """A first frame came before the message being received was complete."""


class MaximumWaitFrameReachedError(TransferError):
    """The receiver asked to wait more often than N_WFTmax allows."""

    n_result = N_Result.N_WFT_OVRN
    default_errno = ECOMM


class BufferOverflowError(TransferError):
    """The receiver has no room for a message of this length."""

    n_result = N_Result.N_BUFFER_OVFLW
    default_errno = EMSGSIZE


class FrameTooLongError(BufferOverflowError):
    """The sender announced a message that is longer than what can be received here."""


class BadGeneratorError(TransferError):
    """The generator of a message's bytes ended before the length that was given with it."""

    default_errno = _errno.EINVAL


class TransferAbortedError(TransferError):
    """The message was given up on this side: by `abort`, or because its socket was closed."""

    default_errno = ECANCELED


class UnknownOutcomeError(TransferError):
    """Whether the message got through cannot be known.

    The kernel's error slot was overwritten meanwhile, or the edge that was to send it cannot be asked any more.
    """


# --- the bus


class InterfaceError(IsoTpError):
    """The network interface or bus cannot be used for this link."""

    default_errno = _errno.ENODEV


class InterfaceNotFoundError(InterfaceError):
    """No interface of that name, or it was removed."""


class NotACanInterfaceError(InterfaceError):
    """The interface exists and is not CAN."""


class InterfaceDownError(InterfaceError):
    """The interface is not up, or went down."""

    default_errno = ENETDOWN


class TransmitQueueFullError(InterfaceError):
    """The interface's transmit queue had no room for the first frame; nothing was sent."""

    default_errno = ENOBUFS


# --- mistakes on this side


class UnavailableError(IsoTpError):
    """The Python or the kernel here has no ISO-TP sockets; `remedy` says what to do.

    `missing` names what is not there: "platform", "python", "kernel", "module" or "permission".
    """

    default_errno = EPROTONOSUPPORT
    missing: str = "kernel"


def not_installed(package: str, what: str | None = None, otherwise: str = "") -> UnavailableError:
    """The error where a package of another project is needed. `otherwise` follows the command that installs it.

    The command names that package and not our extra, so it is right however this package was installed, and it names
    the Python that is running.
    """
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable or "python"
    return UnavailableError(
        what or f"{package} is not installed", remedy=f"{python} -m pip install {package}{otherwise}"
    )


class AddressError(IsoTpError, ValueError):
    """A CAN identifier or an address that is not valid."""

    default_errno = _errno.EINVAL


class OptionError(IsoTpError, ValueError):
    """An option that is not valid, contradicts another one, or is not supported by this kernel or by the engine."""

    default_errno = _errno.EINVAL


class MessageSizeError(IsoTpError, ValueError):
    """A message that cannot be sent: empty, or longer than the kernel, the engine or the address allows."""

    default_errno = _errno.EINVAL


class BusyError(IsoTpError):
    """The socket or engine is in use: one message at a time in each direction, and no waiting in a callback."""

    default_errno = _errno.EAGAIN


class AlreadyBoundError(IsoTpError, RuntimeError):
    """Options and address are fixed once a socket is bound."""

    default_errno = EISCONN


class NotBoundError(IsoTpError, RuntimeError):
    """The socket has no address yet."""

    default_errno = EADDRNOTAVAIL


class SocketClosedError(IsoTpError):
    """The socket was closed, before the call or during it."""

    default_errno = _errno.EBADF


class OneWayError(IsoTpError):
    """Receiving on a send-only address, or sending on a receive-only one."""

    default_errno = EOPNOTSUPP


class ForbiddenError(IsoTpError):
    """The owner of a shared link does not allow this; nothing was sent."""

    default_errno = EACCES


class ReceiveBufferTooSmallError(IsoTpError):
    """The message is longer than the buffer given; it was kept and can be received with a larger one.

    `needed` is the length of the message in bytes, `given` the size of the buffer.
    """

    default_errno = EMSGSIZE
    needed: int = 0
    given: int = 0


# --- what a transport layer of `isotp.compat` reports besides the above; the names are can-isotp 2's


class FrameIgnoredError(IsoTpError):
    """A frame of the link was ignored; what is being sent and received goes on. Passed to an error handler."""

    default_errno = EBADMSG


class UnexpectedFlowControlError(FrameIgnoredError):
    """A flow control came, and nothing waits for one."""


class UnexpectedConsecutiveFrameError(FrameIgnoredError):
    """A consecutive frame came, and no message is being received."""


class UnsupportedWaitFrameError(FrameIgnoredError):
    """The receiver asks to wait, and wftmax is 0."""


class MissingEscapeSequenceError(FrameIgnoredError):
    """A single frame of more than 8 bytes has its length in the first byte."""


class ChangingInvalidRXDLError(FrameIgnoredError):
    """A consecutive frame is not as long as the first frame."""


class InvalidCanFdFirstFrameRXDL(FrameIgnoredError):  # noqa: N818
    """A first frame has a length that no first frame can have."""


class BlockingSendFailure(IsoTpError):  # noqa: N818
    """A message sent with `blocking_send` was not transferred; `__cause__` is the reason."""


class BlockingSendTimeout(BlockingSendFailure):
    """A message sent with `blocking_send` is still being sent after `send_timeout`."""

    default_errno = _errno.EAGAIN


# --- warnings: the call itself succeeds


class IsoTpWarning(UserWarning):
    """Something that the user has to know, although the call succeeds."""


class MessagesDroppedWarning(IsoTpWarning):
    """Complete messages were dropped because they were not read in time."""


class UnconfirmedSendWarning(IsoTpWarning):
    """A message failed, and no call asked for its outcome: `confirm=False`, or its send was cancelled or timed out."""


class OptionIgnoredWarning(IsoTpWarning):
    """An option was stored and has no effect here."""


class DuplicateBindingWarning(IsoTpWarning):
    """Another ISO-TP socket on this machine listens to the same identifier: both will answer."""


def warn(message: str, category: type[IsoTpWarning]) -> None:
    """Warn; the warning shows the line outside this package that made the call."""
    depth = 1
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("isotp."):
        frame = frame.f_back
        depth += 1
    warnings.warn(message, category, stacklevel=depth + 1)


# The class for each errno of the kernel. The caller has to know to which direction the errno belongs.
ERRNO_TO_ERROR: dict[int, type[IsoTpError]] = {
    ECOMM: FlowControlTimeoutError,
    EMSGSIZE: BufferOverflowError,
    EBADMSG: InvalidCanDataError,
    EILSEQ: WrongSequenceNumberError,
    ETIMEDOUT: ConsecutiveFrameTimeoutError,
    ENETDOWN: InterfaceDownError,
    _errno.ENODEV: InterfaceNotFoundError,
}

OverflowError = BufferOverflowError  # noqa: A001 - the name in can-isotp 2
