"""Frames from a source to observers, one for each channel, and what comes of it to whoever shows it."""

import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from ..capture.observer import Observer
from ..capture.recording import Frames
from ..capture.stream import Fault, ObservedMessage, Stream
from ..errors import UnknownOutcomeError
from .progress import Bar

CHANNELS_MAX: Final = 256


class Source(Protocol):
    """Where frames come from."""

    name: str
    passed_over: int

    @property
    def is_live(self) -> bool:
        """Whether they come as they happen."""

    def batches(self) -> Iterator[Frames]:
        """The frames; empty lists now and then if they are live."""

    def progress(self) -> float | None:
        """How much has been read, 0 to 1, if that can be told."""

    def close(self) -> None:
        """Release what it holds."""


class Display(Protocol):
    """Shows what comes."""

    shows_frames: bool

    def begin(self, time_ns: int) -> None:
        """The first frame of all was seen then, of whatever link."""

    def frame(self, channel: str, stream: Stream, time_ns: int, data: bytes, is_fd: bool) -> None:
        """A frame of a link; called only if `shows_frames`."""

    def event(self, channel: str, event: ObservedMessage | Fault) -> None:
        """What became of it."""

    def flush(self) -> None:
        """Write what has been collected."""


class Enough(Exception):  # noqa: N818 - no error
    """The display has shown all that was asked for."""


class Watch:
    """One run: a source, its observers, a display.

    Args:
        source: where frames come from; `run` closes it.
        new_observer: makes one for a channel.
        display: see `Display`.
    """

    def __init__(self, source: Source, new_observer: Callable[[], Observer], display: Display) -> None:
        self._source = source
        self._new_observer = new_observer
        self._display = display
        self._observers: dict[str, Observer] = {}
        self._bar = Bar("frames")
        self._clock = 0  # the source's time, less ours
        self.frames = 0

    @property
    def streams(self) -> int:
        """How many directions of links were seen."""
        return sum(len(observer.streams()) for observer in self._observers.values())

    def run(self) -> None:
        """Read until the end, until the display has enough, or until something is raised; then tell what is open."""
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
            self._tell_unfinished("the recording ends")
        except KeyboardInterrupt:
            self._tell_unfinished("interrupted")
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
        """The way of a million frames; `_take_frames` differs in showing each of them."""
        channel, observer = "", None
        show = self._display.event
        for time_ns, name, can_id, data, is_fd in batch:
            if name != channel or observer is None:
                channel, observer = name, self._observer(name)
                receive, events = observer.receive_frame, observer.events
            receive(can_id, data, time_ns, is_fd)
            while events:
                show(channel, events.popleft())

    def _take_frames(self, batch: Frames) -> None:
        channel, observer = "", None
        show, show_frame = self._display.event, self._display.frame
        for time_ns, name, can_id, data, is_fd in batch:
            if name != channel or observer is None:
                channel, observer = name, self._observer(name)
                receive, events, released = observer.receive_frame, observer.events, observer.released
            stream = receive(can_id, data, time_ns, is_fd)
            if stream is None:
                if events:
                    self._show_events(channel, observer)
                continue
            if released:
                for held, its_stream in released:
                    show_frame(channel, its_stream, held.time_ns, held.data, held.is_fd)
                released.clear()
            show_frame(channel, stream, time_ns, data, is_fd)
            while events:
                show(channel, events.popleft())

    def _show_events(self, channel: str, observer: Observer) -> None:
        while observer.events:
            self._display.event(channel, observer.events.popleft())

    def _let_time_pass(self, batch: Frames) -> None:
        """Messages that broke off are told though no frame comes."""
        now = time.monotonic_ns()
        if batch:
            self._clock = batch[-1][0] - now
        for channel, observer in self._observers.items():
            due = observer.get_timer()
            if due is not None and now + self._clock >= due:
                observer.handle_timer(now + self._clock)
                self._show_events(channel, observer)

    def _tell_unfinished(self, why: str) -> None:
        for channel, observer in self._observers.items():
            for stream in observer.unfinished():
                done, total = stream.receiver.done, stream.receiver.total
                stream.give_up(UnknownOutcomeError(f"{why} after {done} of {total} bytes"))
            self._show_events(channel, observer)
