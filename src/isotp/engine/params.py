"""Params: the parameters of a link, in one frozen object."""

from dataclasses import dataclass

from ..can_frame import CLASSICAL_MAX_LENGTH, DEFAULT_PADDING, LENGTH_OF_DLC, PADDED_LENGTH, TX_DLS
from ..errors import OptionError
from ..stmin import STmin
from .n_pdu import FF_DL_MAX

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """The parameters of a link; the defaults are the Linux kernel's, the time limits the standard's.

    Args:
        can_fd: whether the frames are CAN FD; frames of the other kind are ignored, as Linux does.
        tx_dl: length of the longest frame sent, 8 12 16 20 24 32 48 or 64; above 8 needs `can_fd`.
        bitrate_switch: set BRS in the frames sent; needs `can_fd`.
        tx_padding: byte with which frames are padded to `tx_min_dl`; None: 0xCC. CAN FD frames above 8 bytes are always
            padded to a length that CAN has.
        tx_min_dl: least length of the frames sent, one that CAN has and at most `tx_dl`: shorter ones are padded with
            `tx_padding`, or 0xCC. None: 8 with `tx_padding`, else 0.
        rx_padding: byte with which received frames have to be padded.
        check_padding_length: refuse frames that are longer than necessary or, with `rx_padding`, not padded to 8 bytes.
        check_padding_content: refuse frames that are padded with anything but `rx_padding`.
        bs: the BS in our flow control, 0 to 255: how many consecutive frames until the next one; 0: no next one.
        stmin: the STmin in our flow control, the raw byte of the standard (`STmin.from_ms(5)`).
        forced_tx_stmin_ns: separation time of the frames sent, in place of the receiver's STmin; None: the receiver's.
        dynamic_flow_control: use BS and STmin of each flow control instead of only the first one of a message.
        wftmax: N_WFTmax: how many WAITs in a row to send, and to accept; None: no limit, 0: none.
        max_pdu_size: longest message received, and sent unless `tx_max_pdu_size` is given, in bytes, up to 2**32-1.
        tx_max_pdu_size: longest message sent, in bytes.
        listen_only: receive without sending flow control.
        half_duplex: never send and receive at the same time: `send` raises BusyError while a message is received, and
            a frame that would begin a reception is ignored while one is sent.
        progress_step: bytes between two Progress events; 0: no such events.
        n_as_ns: longest time for a frame of a message to get onto the bus.
        n_ar_ns: longest time for a flow control to get onto the bus.
        n_bs_ns: longest wait for a flow control.
        n_br_ns: how long the application may take to become ready before a WAIT is sent, and then between WAITs; None:
            a quarter of `n_bs_ns`.
        n_cr_ns: longest wait for a consecutive frame.

    N_Br and N_Cs are limits for this node and no timeouts: by ISO 15765-2:2016, 9.8.1, N_Br + N_Ar has to be below 0.9
    of the peer's N_Bs, and N_Cs + N_As below 0.9 of its N_Cr. The peer is assumed to have our `n_bs_ns` and `n_cr_ns`.
    So `n_br_ns` has to be below 0.9 of `n_bs_ns`, and each separation time below 0.9 of `n_cr_ns`.

    Raises:
        OptionError: a value out of range, or two that contradict each other.
    """

    can_fd: bool = False
    tx_dl: int = CLASSICAL_MAX_LENGTH
    bitrate_switch: bool = False
    tx_padding: int | None = None
    tx_min_dl: int | None = None
    rx_padding: int | None = None
    check_padding_length: bool = False
    check_padding_content: bool = False
    bs: int = 0
    stmin: int = 0
    forced_tx_stmin_ns: int | None = None
    dynamic_flow_control: bool = False
    wftmax: int | None = None
    max_pdu_size: int = 8300
    tx_max_pdu_size: int | None = None
    listen_only: bool = False
    half_duplex: bool = False
    progress_step: int = 0
    n_as_ns: int = _SECOND_NS
    n_ar_ns: int = _SECOND_NS
    n_bs_ns: int = _SECOND_NS
    n_br_ns: int | None = None
    n_cr_ns: int = _SECOND_NS

    def __post_init__(self) -> None:
        if self.tx_dl not in TX_DLS or not isinstance(self.tx_dl, int):
            raise OptionError(f"tx_dl={self.tx_dl!r}: allowed are {', '.join(map(str, TX_DLS))}")
        if not self.can_fd and (self.tx_dl > CLASSICAL_MAX_LENGTH or self.bitrate_switch):
            given = "bitrate_switch" if self.bitrate_switch else f"tx_dl={self.tx_dl}"
            raise OptionError(f"{given} needs CAN FD", remedy="add can_fd=True")
        if self.tx_min_dl is not None:
            self._check_tx_min_dl(self.tx_min_dl)
        if self.check_padding_content and self.rx_padding is None:
            raise OptionError("check_padding_content needs to know the byte", remedy="add rx_padding=0xCC")
        for name, top in _RANGES.items():
            _check_range(name, getattr(self, name), 0, top)
        _check_range("max_pdu_size", self.max_pdu_size, 1, FF_DL_MAX)
        _check_range("tx_max_pdu_size", self.tx_max_pdu_size, 1, FF_DL_MAX)
        self._check_times()

    def _check_tx_min_dl(self, length: int) -> None:
        allowed = [have for have in LENGTH_OF_DLC if have <= self.tx_dl]
        if length not in allowed or isinstance(length, bool) or not isinstance(length, int):
            raise OptionError(
                f"tx_min_dl={length!r}: with tx_dl={self.tx_dl} allowed are {', '.join(map(str, allowed))}",
                remedy="set tx_dl first" if length in LENGTH_OF_DLC else None,
            )

    @property
    def padding(self) -> tuple[bytes, int]:
        """The byte with which frames sent are padded, and how many bytes each has at least."""
        if self.tx_padding is None:
            return bytes((DEFAULT_PADDING,)), self.tx_min_dl or 0
        return bytes((self.tx_padding,)), CLASSICAL_MAX_LENGTH if self.tx_min_dl is None else self.tx_min_dl

    def _check_times(self) -> None:
        for name in ("n_as_ns", "n_ar_ns", "n_bs_ns", "n_br_ns", "n_cr_ns"):
            _check_range(name, getattr(self, name), 1, None)
        for name, time_ns, limit, limit_ns in (
            ("n_br_ns", self.n_br_ns, "n_bs_ns", self.n_bs_ns),
            ("stmin", STmin(self.stmin).ns, "n_cr_ns", self.n_cr_ns),
            ("forced_tx_stmin_ns", self.forced_tx_stmin_ns, "n_cr_ns", self.n_cr_ns),
        ):
            if 10 * (time_ns or 0) >= 9 * limit_ns:
                raise OptionError(f"{name} ({time_ns} ns) is not below 0.9 of {limit} ({limit_ns} ns)")

    def padding_fault(self, frame_data: bytes, end: int) -> str | None:
        """What is wrong with the padding of a frame whose payload stops at `end`; None if nothing is.

        The rules are those of Linux's CAN_ISOTP_CHK_PAD_LEN and CAN_ISOTP_CHK_PAD_DATA.
        """
        if self.check_padding_length:
            length = len(frame_data)
            if self.rx_padding is None and length != PADDED_LENGTH[end]:
                return f"{length} bytes long instead of {PADDED_LENGTH[end]}"
            if self.rx_padding is not None and length < CLASSICAL_MAX_LENGTH:
                return f"{length} bytes long instead of padded to 8"
        if self.check_padding_content and frame_data[end:].strip(bytes((self.rx_padding or 0,))):
            return f"padded with {frame_data[end:].hex()}"
        return None


_RANGES: dict[str, int | None] = {
    "bs": 0xFF,
    "stmin": 0xFF,
    "tx_padding": 0xFF,
    "rx_padding": 0xFF,
    "wftmax": None,
    "forced_tx_stmin_ns": None,
    "progress_step": None,
}


def _check_range(name: str, value: object, low: int, high: int | None) -> None:
    if value is None and name in _NONE_ALLOWED:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name} must be an integer, not {value!r}")
    if value < low or (high is not None and value > high):
        allowed = f"{low} to {high}" if high is not None else f"{low} or more"
        raise OptionError(f"{name}={value}: allowed is {allowed}")


_NONE_ALLOWED = {"tx_padding", "rx_padding", "wftmax", "forced_tx_stmin_ns", "n_br_ns", "tx_max_pdu_size"}
