"""ISO 15765-2:2016 as cases, to run against any stack: this library's engine, the kernel, an ECU on a bus, your own.

    from isotp.testing.conformance import EngineSubject, Report, all_cases, run_cases

    print(Report("isotp.engine", run_cases(all_cases(), EngineSubject())))

A stack of your own is a class derived from `Subject`.
"""

from .case import Ask, Block, Case, Expect, Hold, Need, Pause, Reports, Send, Setup, Silence, message
from .cases import all_cases
from .engine_subject import EngineSubject
from .report import Report
from .runner import Difference, Result, Verdict, run_case, run_cases
from .subject import Heard, Reported, Subject

__all__ = [
    "Ask",
    "Block",
    "Case",
    "Difference",
    "EngineSubject",
    "Expect",
    "Heard",
    "Hold",
    "Need",
    "Pause",
    "Report",
    "Reported",
    "Reports",
    "Result",
    "Send",
    "Setup",
    "Silence",
    "Subject",
    "Verdict",
    "all_cases",
    "message",
    "run_case",
    "run_cases",
]
