"""Which ISO-TP sockets listen to which identifiers: the kernel's lists of all that receives CAN frames."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

from ..address import CanAddress
from ..errors import DuplicateBindingWarning, warn

_PROC: Final = Path("/proc/net/can")
_STATS: Final = _PROC / "stats"
_COUNT: Final = b" current receive list entries"
_OF_A_SOCKET: Final = 2  # entries: its identifier, and the echo of its own frames (since Linux 5.18)
_KEPT_S: Final = 1.0


class Listeners:
    """How many sockets listen to each identifier, without a look at the whole of the lists for each `bind`.

    The kernel also says how many entries the lists have. While that is as many as `add` expects, and for one second at
    most, an identifier that was free is taken for free: wrong only where, in that second, as many entries went as came.
    """

    def __init__(self) -> None:
        self._found: Counter[tuple[str, int]] = Counter()
        self._entries: int | None = None
        self._read_at = -math.inf

    def count(self, interface: str, can_id: int) -> int:
        """How many sockets listen to `can_id` on `interface`."""
        entries, now = _entries(), monotonic()
        is_known = entries is not None and entries == self._entries and now - self._read_at < _KEPT_S
        if self._found[interface, can_id] or not is_known:
            self._found, self._entries, self._read_at = Counter(listeners()), entries, now
        return self._found[interface, can_id]

    def add(self, interface: str, can_id: int) -> None:
        """A socket was bound in this process."""
        self._found[interface, can_id] += 1
        if self._entries is not None:
            self._entries += _OF_A_SOCKET


known: Final = Listeners()


def warn_of_others(interface: str, rx_id: int) -> None:
    """Warn of other ISO-TP sockets that listen to `rx_id`: they would answer with flow control as well.

    Sockets with an address byte share identifiers by design and are not looked at.
    """
    if others := known.count(interface, rx_id):
        warn(
            f"{others} other ISO-TP socket(s) already listen to {CanAddress(rx_id)} on {interface}: all of them answer "
            "with flow control, and transfers will break; close the other one (python -m isotp doctor lists them), "
            "or exchange rxid and txid if they are swapped, or set LISTEN_MODE here to listen only",
            DuplicateBindingWarning,
        )


def listeners() -> Iterator[tuple[str, int]]:
    """Interface and CAN identifier of every ISO-TP socket of this network namespace that receives."""
    for kind in ("sff", "eff", "fil"):
        for fields in _receive_list(_PROC / f"rcvlist_{kind}"):
            if fields[-1] == "isotp":  # "isotpe" are those that listen to their own echo
                yield fields[0], int(fields[1], 16)


def _receive_list(path: Path) -> list[list[str]]:
    """The entries of one of the kernel's receive lists: interface, identifier, mask, ..., receiver."""
    try:
        text = path.read_text()
    except OSError:  # no procfs here
        return []
    rows = (line.split() for line in text.splitlines())
    return [fields for fields in rows if len(fields) == 7 and fields[0] != "device"]


def _entries() -> int | None:
    """How many entries the receive lists of this network namespace have; None: not known."""
    try:
        with _STATS.open("rb", buffering=0) as stats:
            return int(stats.read(4096).partition(_COUNT)[0].rpartition(b"\n")[2])
    except (OSError, ValueError):  # no procfs here
        return None
