"""Exit statuses: how a command ended."""

from typing import Final

from ..errors import IsoTpError, N_Result, TransferError
from .output.terminal import visible
from .parser import WrongUsage

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
NOTHING_CAME: Final = 3
AGAINST_STANDARD: Final = 4
INTERRUPTED: Final = 130
READER_GONE: Final = 141
TERMINATED: Final = 143

_FIRST: Final = 10
_ENDINGS: Final = [result for result in N_Result if result is not N_Result.N_OK]

TEXT: Final = (
    "exit status: 0 done; 1 it failed, stderr says why; 2 wrong usage; 3 nothing came in the time given; "
    "4 check found something against the standard; "
    f"{_FIRST} to {_FIRST + len(_ENDINGS) - 1} the N_Result of a transfer that failed; 130 Ctrl-C; 143 SIGTERM; "
    "129 SIGHUP (serve, gateway); 141 the reader of the output went away"
)


class Terminated(KeyboardInterrupt):
    """SIGTERM; commands end as with Ctrl-C."""


def of_transfer(n_result: N_Result | None) -> int:
    """The status of a transfer that failed: N_TIMEOUT_A 10, N_TIMEOUT_Bs 11, N_TIMEOUT_Cr 12 and so on."""
    return _FIRST + _ENDINGS.index(n_result) if n_result in _ENDINGS else FAILED


def of_signal(number: int) -> int:
    """The status of a command that a signal ended, as shells have it."""
    return 128 + number


def of_error(error: BaseException) -> tuple[int, str]:
    """The status of a command that raised `error`, and what to print; `error` itself is raised if it is a bug."""
    match error:
        case Terminated():
            return TERMINATED, "ended by SIGTERM"
        case KeyboardInterrupt():
            return INTERRUPTED, "ended by Ctrl-C"
        case BrokenPipeError():
            return READER_GONE, ""
        case WrongUsage():
            return WRONG_USAGE, str(error)
        case TransferError():
            return of_transfer(error.n_result), str(error)
        case IsoTpError():
            return FAILED, str(error)
        case TimeoutError() | BlockingIOError():  # the latter with a time of 0
            return NOTHING_CAME, str(error.strerror or error)
        case OSError():
            return FAILED, f"{error.strerror or error}{f': {visible(str(error.filename))}' if error.filename else ''}"
    raise error
