"""What a capture finds, to a display."""

from collections import deque
from contextlib import nullcontext

from ...capture.capture import Capture
from ...capture.message import Fault
from ...capture.observer import Event
from ..output.display import Display, Enough
from ..output.progress import Bar
from .memory import limited


class Watch:
    """One run: a capture and a display.

    Args:
        capture: `run` closes it.
        display: what shows its events.
        max_memory: bytes that a recording may take; see `limited`.
    """

    def __init__(self, capture: Capture, display: Display, max_memory: int | None = None) -> None:
        self._capture = capture
        self._limit = nullcontext() if capture.is_live else limited(max_memory, capture.name)
        self._display = display
        self._waiting: deque[Event] = deque()
        self.events = 0
        """What went to the display, and how many of it are frames out of place."""
        self.faults = 0
        self.has_all = False
        """Whether the capture was seen to its end."""

    def run(self) -> None:
        """Read until the end, until the display has enough, or until an error; then show what is unfinished."""
        with self._limit:
            self._run()

    def _run(self) -> None:
        capture, display, bar = self._capture, self._display, Bar("frames")
        has_begun = False
        try:
            for events in capture.batches(display.shows_frames):
                if not has_begun and capture.begin_ns is not None:
                    has_begun = True
                    display.begin(capture.begin_ns)
                self._show(events)
                with bar.hidden():
                    display.flush()
                bar.show(capture.frames, capture.progress())
            self.has_all = True
        except KeyboardInterrupt:
            capture.end("interrupted")
            self._show(capture.remaining())
            self.has_all = True
            raise
        except Enough:
            pass
        finally:
            capture.close()
            with bar:  # which ends with it
                display.flush()

    def _show(self, events: list[Event]) -> None:
        self._waiting.extend(events)  # behind those that Ctrl-C left
        while self._waiting:
            event = self._waiting.popleft()
            self.events += 1
            self.faults += isinstance(event, Fault)
            self._display.event(event)
