"""What is known to be otherwise than the standard says, and why: such a case differs on purpose and has not passed."""

from typing import Final

from .runner import Difference

_FIRST_FC: Final = "BS and STmin of the first CTS hold for the whole message"
ENGINE: Final = (
    Difference("flow control/changing BS", f"{_FIRST_FC}, as in Linux; Params(dynamic_flow_control=True) ends that"),
    Difference("flow control/changing STmin", f"{_FIRST_FC}, as in Linux; Params(dynamic_flow_control=True) ends that"),
)

_FIRST_ANY: Final = "the kernel keeps BS and STmin of the first flow control, be it a WAIT"
_NO_REPORT: Final = "the kernel receives the new message and does not report that the other one broke off"
_ENDS: Final = "the kernel ends the reception at an invalid frame, without reporting it"
_SHORTER: Final = "the kernel takes every FF_DL that fills the first frame, though a single frame holds as much"
_ESCAPE: Final = "the kernel takes the FF_DL escape for every length that fills the first frame"
_LAST_CF: Final = "the kernel takes a last CF that is too short as a lost frame, and expects the SN after it"
_FUNCTIONAL: Final = "to the kernel a receiving half is LISTEN_MODE: it receives messages of several frames, too"
_DYNAMIC: Final = f"{_FIRST_FC}, unless DYN_FC_PARMS is set (from Linux 6.9 on)"
_OVFLW: Final = "the kernel sends OVFLW though it only listens, with the identifier 0 that a receiving half has"

KERNEL: Final = (
    Difference("flow control/changing BS", _DYNAMIC),
    Difference("flow control/changing STmin", _DYNAMIC),
    Difference("flow control/followed/BS of a WAIT is ignored", _FIRST_ANY),
    Difference("flow control/followed/BS of the CTS after a WAIT", _FIRST_ANY),
    Difference("flow control/followed/STmin of the CTS after a WAIT", _FIRST_ANY),
    Difference("unexpected/receiving */SF", _NO_REPORT),
    Difference("unexpected/receiving */FF", _NO_REPORT),
    Difference("invalid/receiving/SF_DL*", _ENDS),
    Difference("invalid/receiving/FF_DL [1-5]", _ENDS),
    Difference("invalid/receiving/FF_DL escape for 0 bytes", _ENDS),
    Difference("invalid/receiving/FF of * bytes", _ENDS),
    Difference("invalid/receiving/no bytes", _ENDS),
    Difference("invalid/*/FF_DL [67]", _SHORTER),
    Difference("invalid/CAN FD/FF_DL*", _SHORTER),
    Difference("invalid/*/FF_DL escape for [1-9]*", _ESCAPE),
    Difference("sequence/last CF of *", _LAST_CF),
    Difference("address/functional */FF", _FUNCTIONAL),
    Difference("address/functional */FF that is too long", _OVFLW),
)
"""Observed on 6.1.192 and on 7.2.13, which do the same."""
