"""Options of can-utils that are spelt differently here: each is answered with what to write instead.

What they mean is from the usage texts of isotpsend, isotprecv, isotpserver, isotpdump, isotpsniffer and isotpperf.
"""

import argparse
from collections.abc import Callable
from typing import Any, Final

from ...stmin import STmin
from ..parser import Parser

Answer = str | Callable[[str], str]
"""The answer to a flag, or what makes the answer from the value of an option."""


def _bs(value: str) -> str:
    try:
        return f"the block size is --bs {int(value, 16)} here, in decimal"
    except ValueError:
        return "the block size is --bs N here, in decimal"


def _stmin(value: str) -> str:
    try:
        stmin = STmin(int(value, 16))
    except ValueError:
        return "the separation time is --stmin TIME here, with its unit: 5ms, 300us"
    unit, ns = ("us", 1000) if stmin.ns % 1_000_000 else ("ms", 1_000_000)
    return f"the separation time is --stmin {stmin.ns // ns}{unit} here"


def _frame_txtime(_: str) -> str:
    return "there is no option for the time of a frame; in Python it is set_general_opts(frame_txtime=...)"


def _wftmax(_: str) -> str:
    return "leave it out: Linux stores the number of WAIT frames and never uses it"


def _repeat(value: str) -> str:
    return f"the number of messages is --repeat {'0' if value == 'i' else value} here (0: until Ctrl-C)"


def _rx_address(value: str) -> str:
    return "it is part of -x here: -x any" if value == "any" else f"it is part of -x here: -x TA:{value}"


_ALWAYS_WAITS: Final = "leave it out: isotp send always waits until the message is through"
_COLOURS: Final = "leave it out: there are colours wherever the output is a terminal"
_NO_CF_BROADCAST: Final = "segmented messages without flow control are not offered"
_ANSWERS: Final[dict[str, dict[str, Answer]]] = {
    "send": {
        "-b": _ALWAYS_WAITS,
        "-C": _NO_CF_BROADCAST,
        "-D": lambda value: f"make the bytes yourself: head -c {value} /dev/zero | isotp send ... --file -",
        "-f": lambda value: f"the separation time to send with is --tx-stmin {value}ns here",
        "-g": lambda value: f"the time between messages is --interval {value}us here",
        "-i": lambda value: f"the file is --file {value} here",
        "-l": _repeat,
        "-S": "it is --functional here",
        "-t": _frame_txtime,
    },
    "recv": {"-b": _bs, "-m": _stmin, "-w": _wftmax},
    "serve": {
        "-b": _bs,
        "-m": _stmin,
        "-t": _frame_txtime,
        "-v": "leave it out: isotp dump shows the messages of a bus",
        "-w": _wftmax,
    },
    "dump": {
        "-c": _COLOURS,
        "-f": lambda value: "leave it out: bytes are hexadecimal" + (" and characters with --ascii" * (value != "1")),
        "-u": "leave it out: UDS services are named unless you say --no-uds",
        "-X": _rx_address,
    },
    "perf": {"-X": _rx_address},
}


class _Answered(argparse.Action):
    """An option that ends the command with an answer."""

    def __init__(self, option_strings: list[str], dest: str, *, answer: Answer, **others: Any) -> None:
        super().__init__(option_strings, dest, nargs=0 if isinstance(answer, str) else None, **others)
        self._answer = answer

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        answer = self._answer if isinstance(self._answer, str) else self._answer(values)
        parser.error(f"{option_string} is an option of can-utils; {answer}")


def add_answers(parser: Parser, command: str) -> None:
    """Add the options of can-utils that `command` has under other names; --help does not show them."""
    for letter, answer in _ANSWERS[command].items():
        parser.add_argument(letter, action=_Answered, answer=answer, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
