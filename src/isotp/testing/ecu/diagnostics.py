"""Diagnostics: what the diagnostic services of an ECU read and change, and its state between requests."""

import math
from collections.abc import Collection
from typing import Final

from . import checked
from .answers import Nrc, Refused
from .parts import Download
from .services import DEFAULT_SESSION

_LONGEST_S: Final = 1e6


class Diagnostics:
    """The part of an `Ecu` that its services use; see there. It needs `set_out` and `power_on` at first."""

    dids = checked.Checked(checked.dids)
    dtcs = checked.Checked(checked.dtcs)
    security = checked.Checked(checked.security)
    routines = checked.Checked(checked.routines)
    sessions = checked.Checked(checked.sessions)
    p2_s = checked.seconds(0.0, 65.535)  # two bytes of the response to DiagnosticSessionControl
    p2_star_s = checked.seconds(0.01, 655.35)
    s3_s = checked.seconds(0.0, _LONGEST_S)
    delay_s = checked.seconds(0.0, _LONGEST_S)
    boot_s = checked.seconds(0.0, _LONGEST_S)
    download: Download | None

    def power_on(self) -> None:
        """Begin on a clock that may be another one: nothing is being worked on, and no delay runs. `Car` calls it."""
        self.advance(math.inf)
        self._busy_until_s = self._booting_until_s = -math.inf
        self._active_s = math.inf  # S3 runs from the first request on
        for security in self.security.values():
            security.power_on()

    def set_out(self) -> None:
        """The state after a reset."""
        self.session = DEFAULT_SESSION
        """The diagnostic session. It ends by S3 on a bus, and otherwise by the next request or `advance`."""
        self.unlocked: int | None = None
        """The level of security access that is unlocked."""
        self.seed: tuple[int | None, bytes] = (None, b"")
        """The level whose seed was asked for last, and the seed."""
        self.communication = 0
        """The last sub-function of CommunicationControl."""
        self.stores_dtcs = True
        """What ControlDTCSetting has set."""
        for routine in self.routines.values():
            routine.was_started = False
        if self.download is not None:
            self.download.reset()

    @property
    def due_s(self) -> float:
        """When the session ends by S3, on the clock of the requests; infinite in the default session."""
        return math.inf if self.session == DEFAULT_SESSION else self._active_s + self.s3_s

    def advance(self, now_s: float) -> None:
        """Let time go on to `now_s`: a session without requests ends. What serves the ECU calls it."""
        if now_s > self.due_s:
            self.enter_session(DEFAULT_SESSION)

    def reset(self, now_s: float) -> None:
        """Begin anew, as after power-on; the values of DIDs and DTCs stay."""
        self.set_out()
        self._booting_until_s = now_s + self.boot_s

    def enter_session(self, session: int) -> None:
        """Change to a session: what was unlocked is locked, and a download is given up."""
        communication, stores_dtcs = self.communication, self.stores_dtcs
        self.set_out()
        self.session = session
        if session != DEFAULT_SESSION:
            self.communication, self.stores_dtcs = communication, stores_dtcs

    def is_in(self, sessions: Collection[int] | None) -> bool:
        """Whether the session is one of these; None: any."""
        return sessions is None or self.session in sessions

    def check_unlocked(self, level: int | None) -> None:
        """Raise `Refused` unless this level of security access is unlocked; None: no level is needed."""
        if level is not None and self.unlocked != level:
            raise Refused(Nrc.SECURITY_ACCESS_DENIED)

    def can_read(self, number: int) -> bool:
        """Whether the data identifier exists, in this session."""
        return number in self.dids and self.is_in(self.dids[number].sessions)
