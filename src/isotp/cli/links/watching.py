"""Frames from a source to observers, one for each channel, and what the observers find to a display."""

import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from ...capture.observer import Observer
from ...capture.recording import Frames
from ...capture.stream import Fault
from ...errors import UnknownOutcomeError
from ..output.display import Display, Enough
from ..output.progress import Bar

CHANNELS_MAX: Final = 256


class Source(Protocol):
    """Where frames come from."""

    name: str

    @property
    def passed_over(self) -> int:
        """Frames or lines that were left out: dropped, or not understood."""

    @property
    def is_live(self) -> bool:
        """Whether they come as they happen."""

    def batches(self) -> Iterator[Frames]:
        """The frames; empty lists now and then if they are live."""

    def progress(self) -> float | None:
        """How much has been read, 0 to 1, if that can be told."""

    def close(self) -> None:
        """Release what it holds."""


class Watch:
    """One run: a source, its observers, a display.

    Args:
        source: where frames come from; `run` closes it.
        new_observer: makes an observer for a channel.
        display: what shows them.
    """

    def __init__(self, source: Source, new_observer: Callable[[], Observer], display: Display) -> None:
        self._source = source
        self._new_observer = new_observer
        self._display = display
        self._observers: dict[str, Observer] = {}
        self._bar = Bar("frames")
        self._clock = 0  # the source's time, less ours
        self.frames = 0
        """CAN frames read."""
        self.shown = 0
        """Frames of links and messages that went to the display, faults included."""
        self.faults = 0
        """Those of them that make no sense."""

    def run(self) -> None:
        """Read until the end, until the display has enough, or until an error; then show what is unfinished."""
        take = self._take_frames if self._display.shows_frames else self._take_messages
        try:
            for batch in self._source.batches():
                if batch and not self.frames:
                    self._display.begin(batch[0][0])
                self.frames += len(batch)
                take(batch)
                if self._source.is_live:
                    self._let_time_pass(batch)
                with self._bar.hidden():
                    self._display.flush()
                self._bar.show(self.frames, self._source.progress())
            self._show_unfinished("the recording ends")
        except KeyboardInterrupt:
            self._show_unfinished("interrupted")
            raise
        except Enough:
            pass
        finally:
            self._source.close()
            with self._bar:  # which ends with it
                self._display.flush()

    def _observer(self, channel: str) -> Observer:
        observer = self._observers.get(channel)
        if observer is None:
            observer = self._new_observer()
            if len(self._observers) < CHANNELS_MAX:
                self._observers[channel] = observer
            else:  # so many channels are no recording of buses; what is beyond shares one
                observer = self._observers.setdefault("(others)", observer)
        return observer

    def _take_messages(self, batch: Frames) -> None:
        """Take a million frames in a few seconds; `_take_frames` differs in showing each of them."""
        channel, observer = "", None
        for time_ns, name, can_id, data, is_fd in batch:
            if name != channel or observer is None:
                channel, observer = name, self._observer(name)
                receive, events = observer.receive_frame, observer.events
            receive(can_id, data, time_ns, is_fd)
            if events:
                self._show_events(channel, observer)

    def _take_frames(self, batch: Frames) -> None:
        channel, observer = "", None
        show_frame = self._display.frame
        for time_ns, name, can_id, data, is_fd in batch:
            if name != channel or observer is None:
                channel, observer = name, self._observer(name)
                receive, events, released = observer.receive_frame, observer.events, observer.released
            stream = receive(can_id, data, time_ns, is_fd)
            if stream is not None:
                self.shown += 1 + len(released)
                for held, its_stream in released:
                    show_frame(channel, its_stream, held.time_ns, held.data, held.is_fd)
                released.clear()
                show_frame(channel, stream, time_ns, data, is_fd)
            if events:
                self._show_events(channel, observer)

    def _show_events(self, channel: str, observer: Observer) -> None:
        while observer.events:
            event = observer.events.popleft()
            self.shown += 1
            self.faults += isinstance(event, Fault)
            self._display.event(channel, event)

    def _let_time_pass(self, batch: Frames) -> None:
        """Show messages that broke off, also when no frame comes."""
        now = time.monotonic_ns()
        if batch:
            self._clock = batch[-1][0] - now
        for channel, observer in self._observers.items():
            due = observer.get_timer()
            if due is not None and now + self._clock >= due:
                observer.handle_timer(now + self._clock)
                self._show_events(channel, observer)

    def _show_unfinished(self, why: str) -> None:
        for channel, observer in self._observers.items():
            for stream in observer.unfinished():
                done, total = stream.receiver.done, stream.receiver.total
                stream.give_up(UnknownOutcomeError(f"{why} after {done} of {total} bytes"))
            self._show_events(channel, observer)
