"""A case: one requirement of ISO 15765-2:2016 as data: what the tester sends, and what it has to get."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ...address import Address, AsymmetricAddress
from ...stmin import STmin

DEFAULT_ADDRESS: Final = Address.normal(rxid=0x7E0, txid=0x7E8)
"""That of the subject, unless a case or the subject has another one."""
ANSWER_MS: Final = 900.0
"""9.8.1: N_Br + N_Ar and N_Cs + N_As have to be below 0.9 of the peer's time limits, which are 1000 ms."""
PENDING_MS: Final = 5000.0
"""P2*server_max of ISO 14229-2: how long an answer may take after "response pending"."""
FORGET_MS: Final = 1600.0
"""After so long without a frame a message is over on both sides: 9.8.2's 1000 ms, and half of it more."""
OR: Final = " or "
SENT: Final = "sent"
MESSAGE: Final = "message"


class Need(Enum):
    """What a case needs of the subject. A case that needs what the subject does not have is not applicable."""

    SEND = "can be asked to send a message"
    REPORT = "reports the messages it received"
    RESULT = "reports how transfers ended"
    ANSWER = "answers requests, as an ECU"
    LONG_ANSWER = "answers a request with several frames"
    BS = "has a BS that can be set"
    STMIN = "has an STmin that can be set"
    PADDING = "has a padding that can be set"
    CAN_FD = "has CAN FD"
    TX_DL = "has a TX_DL that can be set"
    ADDRESS = "has an address that can be set"
    FUNCTIONAL = "has functional addressing"
    MAX_SIZE = "has a limit of the length it receives that can be set"
    WFTMAX = "has an N_WFTmax that can be set"
    HALF_DUPLEX = "has half duplex"
    DYNAMIC = "has a way to follow each flow control that can be set"
    HOLD = "has an application that can be made not ready"
    BLOCK = "is on a bus that can be made to take no frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How the subject is set up for a case; the defaults are those of the Linux kernel."""

    address: Address | AsymmetricAddress | None = None
    """Of the subject; None: DEFAULT_ADDRESS, or the one that the subject has."""
    can_fd: bool = False
    tx_dl: int = 8
    padding: int | None = None
    """The byte with which frames are padded to 8 bytes; None: they are as short as can be."""
    bs: int = 0
    stmin: int = 0
    """The raw byte."""
    max_size: int | None = None
    wftmax: int | None = None
    half_duplex: bool = False
    dynamic: bool = False
    """Whether a sender uses BS and STmin of each flow control."""

    def needs(self) -> Iterator[Need]:
        """What has to be settable for it."""
        for need, is_needed in (
            (Need.ADDRESS, self.address is not None),
            (Need.FUNCTIONAL, isinstance(self.address, Address) and self.address.is_functional),
            (Need.CAN_FD, self.can_fd),
            (Need.TX_DL, self.tx_dl != 8),
            (Need.PADDING, self.padding is not None),
            (Need.BS, self.bs),
            (Need.STMIN, self.stmin),
            (Need.MAX_SIZE, self.max_size is not None),
            (Need.WFTMAX, self.wftmax is not None),
            (Need.HALF_DUPLEX, self.half_duplex),
            (Need.DYNAMIC, self.dynamic),
        ):
            if is_needed:
                yield need

    def __str__(self) -> str:
        parts = [f"address {self.address}"] if self.address is not None else []
        parts += ["CAN FD", f"TX_DL {self.tx_dl}"] if self.can_fd else []
        parts += [f"padding {self.padding:02X}"] if self.padding is not None else []
        parts += [f"BS {self.bs}"] if self.bs else []
        parts += [repr(STmin(self.stmin))] if self.stmin else []
        parts += [f"max_size {self.max_size}"] if self.max_size is not None else []
        parts += [f"N_WFTmax {self.wftmax}"] if self.wftmax is not None else []
        parts += ["half duplex"] if self.half_duplex else []
        parts += ["BS and STmin of each flow control"] if self.dynamic else []
        return ", ".join(parts) or "defaults"


@dataclass(frozen=True, slots=True)
class Send:
    """The tester sends a frame, in the notation of `isotp.testing.notation`."""

    text: str

    def __str__(self) -> str:
        return f"the tester sends {self.text}"


@dataclass(frozen=True, slots=True)
class Follow:
    """The tester sends consecutive frames as the subject's flow control says, which it waits for between blocks.

    Args:
        texts: the frames.
        goes_on: whether more of the message comes later: then a flow control that is due after these is waited for.
    """

    texts: tuple[str, ...]
    goes_on: bool = False

    def __str__(self) -> str:
        return f"the tester sends {len(self.texts)} consecutive frames, as the flow control says"


@dataclass(frozen=True, slots=True)
class Expect:
    """The next frame of the subject.

    Args:
        text: a pattern, or several with " or " between them.
        after_ms: earliest time after the frame before, whoever sent it, in milliseconds.
        within_ms: latest time after it.
        pending: a pattern; after such a frame the one that is expected may take 5 s.
        is_sized: whether it has 8 bytes, or no more than it needs.
    """

    text: str
    after_ms: float = 0
    within_ms: float = ANSWER_MS
    pending: str = ""
    is_sized: bool = False

    def __str__(self) -> str:
        size = " in 8 bytes, or in no more than it needs" if self.is_sized else ""
        return f"{self.text}{size}{_times(self.after_ms, self.within_ms)}"


@dataclass(frozen=True, slots=True)
class Silence:
    """The subject sends no frame for so many milliseconds."""

    ms: float = 30

    def __str__(self) -> str:
        return f"no frame for {self.ms:g} ms"


@dataclass(frozen=True, slots=True)
class Pause:
    """The tester does nothing for so many milliseconds; the subject may send."""

    ms: float

    def __str__(self) -> str:
        return f"the tester waits {self.ms:g} ms"


@dataclass(frozen=True, slots=True)
class Ask:
    """The subject is asked to send a message."""

    data: bytes

    def __str__(self) -> str:
        return f"the subject is asked to send {len(self.data)} bytes"


@dataclass(frozen=True, slots=True)
class Reports:
    """The next thing that the subject reports.

    Args:
        what: "message", "sent", or the name of an N_Result; or several with " or " between them. A subject that does
            not report how transfers ended need not report "sent", either.
        data: of the message.
        after_ms: earliest time after the last frame, in milliseconds.
        within_ms: latest time after it.
        is_optional: whether it may be left out; another report is left for the next step.
    """

    what: str
    data: bytes = b""
    after_ms: float = 0
    within_ms: float = ANSWER_MS
    is_optional: bool = False

    def __str__(self) -> str:
        what = f"message of {len(self.data)} bytes" if self.what == MESSAGE else self.what
        return f"a report: {what}{_times(self.after_ms, self.within_ms)}"


def may_report(what: str) -> Reports:
    """What a subject may report here, and need not."""
    return Reports(what, within_ms=20, is_optional=True)


@dataclass(frozen=True, slots=True)
class Hold:
    """The application of the subject becomes not ready (True) or ready again."""

    on: bool

    def __str__(self) -> str:
        return f"the application is {'not ' if self.on else ''}ready"


@dataclass(frozen=True, slots=True)
class Block:
    """The bus takes no more frames of the subject (True) or takes them again."""

    on: bool

    def __str__(self) -> str:
        return f"the bus takes {'no ' if self.on else ''}frames of the subject"


def _times(after_ms: float, within_ms: float) -> str:
    return f", {after_ms:g} to {within_ms:g} ms later" if after_ms else ""


Step = Send | Follow | Expect | Silence | Pause | Ask | Reports | Hold | Block
_STEP_NEEDS: Final = {Ask: Need.SEND, Hold: Need.HOLD, Block: Need.BLOCK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One requirement."""

    name: str
    """Group and what is special, with slashes; no other case has it."""
    clause: str
    """Of ISO 15765-2:2016."""
    what: str
    """The requirement in a sentence."""
    steps: tuple[Step, ...]
    setup: Setup = Setup()
    allows: str = ""
    """What the standard leaves open, and this case accepts."""
    also_needs: frozenset[Need] = frozenset()

    @property
    def needs(self) -> frozenset[Need]:
        """What the subject has to be able to do."""
        needs = {*self.also_needs, *self.setup.needs()}
        needs |= {need for kind, need in _STEP_NEEDS.items() if any(isinstance(step, kind) for step in self.steps)}
        for step in self.steps:
            if isinstance(step, Reports) and not step.is_optional and step.what != SENT:
                needs.add(Need.REPORT if step.what == MESSAGE else Need.RESULT)
        return frozenset(needs)


def message(size: int, seed: int = 0) -> bytes:
    """`size` bytes in which a lost, doubled or swapped frame shows."""
    period = bytes((7 * i + 13 * seed + 3) % 251 for i in range(251))
    return (period * (size // 251 + 1))[:size]
