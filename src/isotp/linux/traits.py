"""What can-isotp does in which release of Linux: the one table of it.

It goes by release because the kernel stores flags that it does not know and returns them: reading back proves
nothing. Observed on Debian's 6.1.192, 6.12.107, 7.2.13 and 7.3.4; "since" is the first release known to have it.
"""

from typing import Final, NamedTuple


class Trait(NamedTuple):
    """Something that can-isotp has since a release."""

    since: tuple[int, ...]
    """(major, minor) of the first release that has it; all later ones have it, too."""
    backports: tuple[tuple[int, int, int], ...] = ()
    """The first release of each older series that has it as well."""
    without: str = ""
    """What users meet on a kernel that lacks it."""

    def is_in(self, version: tuple[int, ...]) -> bool:
        """Whether a kernel has it; `version` is (major, minor) or (major, minor, patch)."""
        return version >= self.since or any(version[:2] == one[:2] and version >= one for one in self.backports)

    def __str__(self) -> str:
        """Which kernels have it, in words."""
        older = ", ".join(".".join(map(str, one)) for one in self.backports)
        return f"since Linux {'.'.join(map(str, self.since))}" + (f", in older series since {older}" if older else "")


CAN_ISOTP: Final = Trait((5, 10), without="this Linux brings no can-isotp of its own")
FLAGS: Final = {"SF_BROADCAST": Trait((5, 11)), "CF_BROADCAST": Trait((5, 19)), "DYN_FC_PARMS": Trait((6, 9))}
"""The flags that came later than can-isotp itself."""
MAX_PDU_SIZE: Final = Trait((6, 4))  # the module parameter
TRUTHFUL_POLL: Final = Trait(
    (6, 3),
    ((6, 1, 60),),
    "poll() may show a socket as writable while it still sends: isotp.socket finds that out and looks every "
    "millisecond instead; programs with plain sockets may take a message for sent that is not",
)
RECEIVE_TIMER_STAYS: Final = Trait(
    (6, 12),
    without="a consecutive frame that is too short stops the receive timer: that reception ends without an error",
)
OWN_RESULTS: Final = Trait(
    (7, 3),
    ((6, 1, 180), (6, 12, 100), (7, 2, 13)),
    "closing a socket that sends, or removing its interface, may use memory that was freed (a flaw known to "
    "the public); and a plain send with WAIT_TX_DONE may return the error of another transfer",
)
EVERY: Final = (CAN_ISOTP, *FLAGS.values(), MAX_PDU_SIZE, TRUTHFUL_POLL, RECEIVE_TIMER_STAYS, OWN_RESULTS)

FIXED_MAX_PDU_SIZE: Final = 66_000  # of kernels without the parameter; before 5.18 less
HIGHEST_MAX_PDU_SIZE: Final = 1_049_600  # the kernel clamps the parameter to it
