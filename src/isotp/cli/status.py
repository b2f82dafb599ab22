"""Exit statuses: what ended a command."""

from typing import Final

from ..errors import N_Result

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
NOTHING_CAME: Final = 3
INTERRUPTED: Final = 130
READER_GONE: Final = 141

_FIRST: Final = 10
_ENDINGS: Final = [result for result in N_Result if result is not N_Result.N_OK]

TEXT: Final = f"""\
exit status: 0 done; 1 it failed, stderr says why; 2 wrong usage; 3 nothing came in the time given;
{_FIRST} to {_FIRST + len(_ENDINGS) - 1} the N_Result of a transfer that failed; 130 interrupted;
141 the reader of the output went away"""


def of_transfer(n_result: N_Result | None) -> int:
    """The status of a transfer that ended so: N_TIMEOUT_A 10, N_TIMEOUT_Bs 11, N_TIMEOUT_Cr 12 and so on."""
    return _FIRST + _ENDINGS.index(n_result) if n_result in _ENDINGS else FAILED
