"""What is known to be otherwise than the standard says, and why: such a case differs on purpose and has not passed."""

from typing import Final

from .runner import Difference

_FIRST_FC: Final = "BS and STmin of the first CTS hold for the whole message"
ENGINE: Final = (
    Difference("flow control/changing BS", f"{_FIRST_FC}, as in Linux; Params(dynamic_flow_control=True) ends that"),
    Difference("flow control/changing STmin", f"{_FIRST_FC}, as in Linux; Params(dynamic_flow_control=True) ends that"),
)
