"""A recording, or frames that somebody has, and the messages in them."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from ..address import Address, AsymmetricAddress
from ..errors import UnknownOutcomeError
from .finder import LinkFinder
from .frames import Frames, frames_of
from .message import Fault, LinkFrame, Message
from .observer import MAX_PDU_SIZE, Event, Observer
from .readers import MAX_UNPACKED, Reader, UnreadableError, open_recording
from .stream import Stream

_BATCH: Final = 2048
_TRIED_FRAMES: Final = 200_000
"""How many frames of a recording are tried for address bytes, where no link was found without."""


class FrameSource(Protocol):
    """Where frames come from: a reader, or an interface that is listened to."""

    name: str

    @property
    def passed_over(self) -> int:
        """How many lines or records were no frames, or how many frames were lost."""

    @property
    def is_live(self) -> bool:
        """Whether they come as they happen."""

    def batches(self) -> Iterator[Frames]:
        """The frames; empty lists now and then if they are live."""

    def progress(self) -> float | None:
        """How much has been read, 0 to 1; None if that is not known."""

    def close(self) -> None:
        """Release what it holds."""


class Capture:
    """The messages in a recording, or in frames that you have.

        for message in isotp.capture.Capture("trace.asc"):
            print(message.source, message.target, message.data.hex(), message.error)

    Iterate once. A file, and a list of frames, are read twice: first to find the links, then to make messages of the
    first frame on. Of a pipe and of any other iterable the links are found on the way; frames are held until it is
    known whether they belong to one, the last 32 of each identifier.

    Args:
        source: the name of a file in any format, `-` for standard input, or an iterable of frames: python-can
            messages, scapy packets, `(seconds, CanFrame)` or `(seconds, can_id, data)`. Or a `FrameSource`.
        links: an address of one of the two nodes of each link to follow; a half follows one direction. None at all:
            all links are found by their traffic.
        address_size: 1 to find links whose frames begin with an address byte (extended and mixed addressing).
        max_pdu_size: longer messages are reported as failed, in bytes.
        max_unpacked: how many bytes a packed recording may unpack to where that is more than 100 times its size.

    Raises:
        OSError: the file cannot be opened.
        UnreadableError: it is no recording of a kind that can be read.
        UnavailableError: it takes python-can, which is not installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Iterable[Any] | FrameSource,
        *links: Address | AsymmetricAddress,
        address_size: int = 0,
        max_pdu_size: int = MAX_PDU_SIZE,
        max_unpacked: int = MAX_UNPACKED,
    ) -> None:
        self._links = links
        self._address_size = address_size
        self._max_pdu_size = max_pdu_size
        self._observer: Observer | None = None
        self._bytes_addressed = 0
        self._share_done: float | None = None  # of a recording that is read twice
        self.begin_ns: int | None = None
        """When the first frame was seen, of whatever link; None before that."""
        self._reader: FrameSource
        if isinstance(source, str | os.PathLike):
            self._reader = open_recording(source, max_unpacked)
        elif hasattr(source, "batches"):
            self._reader = source  # type: ignore[assignment]
        else:
            self._reader = _Items(source)

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; done at the end of iterating, too."""
        self._reader.close()

    def __iter__(self) -> Iterator[Message]:
        """The messages, complete and failed, in the order of their last frames."""
        for event in self.events():
            if isinstance(event, Message):
                yield event

    def events(self) -> Iterator[Message | Fault]:
        """The messages, and the frames of links that belong to none."""
        for batch in self.batches():
            yield from batch  # type: ignore[misc]

    def batches(
        self, shows_frames: bool = False, clock: Callable[[], int] = time.monotonic_ns
    ) -> Iterator[list[Event]]:
        """The events in lists, one for each batch of frames that was read, empty ones too.

        Args:
            shows_frames: whether each frame of a link is among them, as `LinkFrame`.
            clock: gives nanoseconds, where frames are live: messages that broke off are reported in time, though no
                frame comes.
        """
        try:
            finder = None
            if not self._links and isinstance(self._reader, _Items | Reader) and self._reader.can_be_read_again:
                finder = LinkFinder(self._address_size)
                yield from self._look_through(self._reader, finder)
            observer = self._observer = self._new_observer(finder, shows_frames)
            ahead = 0  # the clock of the frames, less ours
            for frames in self._reader.batches():
                observer.take(frames)
                if frames and self.begin_ns is None:
                    self.begin_ns = frames[0][0]
                if self._reader.is_live:
                    now = clock()
                    ahead = frames[-1][0] - now if frames else ahead
                    if (due := observer.get_timer()) is not None and now + ahead >= due:
                        observer.handle_timer(now + ahead)
                yield _taken(observer.events)
            self.end("the recording ends")
            yield _taken(observer.events)
        finally:
            self.close()

    def _look_through(self, reader: "_Items | Reader", finder: LinkFinder) -> Iterator[list[Event]]:
        """Show the whole recording to the finder, and begin again."""
        self._share_done = 0.0
        for frames in _undamaged(reader.batches()):
            finder.see_all(frames)
            yield []
        reader = self._reader = reader.again()
        if not finder.has_transfers and not self._address_size:
            with_bytes = LinkFinder(1)
            count = 0
            for frames in _undamaged(reader.batches()):
                with_bytes.see_all(frames)
                count += len(frames)
                if count >= _TRIED_FRAMES:
                    break
            self._bytes_addressed = len(with_bytes.answers())
            self._reader = reader.again()
        self._share_done = 0.5

    def _new_observer(self, finder: LinkFinder | None, shows_frames: bool) -> Observer:
        return Observer(
            *self._links,
            finder=finder,
            address_size=self._address_size,
            max_pdu_size=self._max_pdu_size,
            shows_frames=shows_frames,
            is_timed=not isinstance(self._reader, Reader) or self._reader.is_timed,
        )

    def end(self, why: str) -> None:
        """Report the messages under way as failed; `remaining` has them. Done at the end of a recording."""
        for stream in self._observer.unfinished() if self._observer is not None else ():
            stream.give_up(UnknownOutcomeError(f"{why} after {stream.done} of {stream.total} bytes"))

    def remaining(self) -> list[Event]:
        """Events that were not handed out because iterating stopped."""
        return _taken(self._observer.events) if self._observer is not None else []

    # --- what became of the frames

    @property
    def name(self) -> str:
        """What is read."""
        return self._reader.name

    @property
    def is_live(self) -> bool:
        """Whether frames come as they happen."""
        return self._reader.is_live

    @property
    def frames(self) -> int:
        """How many data frames were read."""
        return self._observer.frames if self._observer is not None else 0

    @property
    def skipped(self) -> int:
        """How many lines, records or items were no CAN frames."""
        return self._reader.passed_over

    @property
    def not_shown(self) -> int:
        """How many data frames are of no link that is known: those of other traffic, and those in `missed`."""
        return self.frames - self._observer.shown if self._observer is not None else 0

    @property
    def missed(self) -> int:
        """How many frames of a link came before it was found and were not held any more; 0 if read twice."""
        return self._observer.missed if self._observer is not None else 0

    @property
    def links(self) -> list[Stream]:
        """The directions that were seen, at most the latest 4096."""
        return self._observer.streams() if self._observer is not None else []

    @property
    def hint(self) -> str | None:
        """What may be wrong if too little was found; None if nothing is known to be."""
        if self._bytes_addressed:
            return (
                f"{self._bytes_addressed} identifiers speak ISO-TP with an address byte before each N_PCI (extended "
                "addressing): address_size=1 follows them"
            )
        if self._links and self.frames and not self.links:
            return f"none of {self.frames:,} frames has an identifier of the links that were named"
        return None

    @property
    def has_address_bytes(self) -> bool:
        """Whether links were found only with an address byte before the N_PCI."""
        return self._bytes_addressed > 0

    def progress(self) -> float | None:
        """How much is done, 0 to 1; None if the size of the recording is not known."""
        progress = self._reader.progress()
        return progress if progress is None or self._share_done is None else self._share_done + progress / 2


def messages(
    source: str | os.PathLike[str] | Iterable[Any] | FrameSource,
    *links: Address | AsymmetricAddress,
    address_size: int = 0,
    max_pdu_size: int = MAX_PDU_SIZE,
    max_unpacked: int = MAX_UNPACKED,
) -> Iterator[Message]:
    """The messages in a recording, or in frames that you have; see `Capture` for the parameters."""
    limits = {"max_pdu_size": max_pdu_size, "max_unpacked": max_unpacked}
    return iter(Capture(source, *links, address_size=address_size, **limits))


class _Items:
    """Frames that the user has.

    Args:
        items: see `frames_of`. A sequence can be read again.
    """

    is_live = False

    def __init__(self, items: Iterable[Any]) -> None:
        self.name = "frames"
        self.passed_over = 0
        self._items = items
        self.can_be_read_again = isinstance(items, Sequence)

    def batches(self) -> Iterator[Frames]:
        """See `FrameSource`."""
        size = _BATCH if self.can_be_read_again else 1
        frames: Frames = []
        for frame in frames_of(self._items):
            if frame is None:
                self.passed_over += 1
                continue
            frames.append(frame)
            if len(frames) >= size:
                yield frames
                frames = []
        yield frames

    def again(self) -> "_Items":
        """The same from the beginning."""
        return _Items(self._items)

    def progress(self) -> float | None:
        """See `FrameSource`."""
        return None

    def close(self) -> None:
        """See `FrameSource`."""


def _undamaged(batches: Iterator[Frames]) -> Iterator[Frames]:
    """The frames up to where a file is damaged; reading it again says that it is."""
    with suppress(UnreadableError):
        yield from batches


def _taken(events: Any) -> list[Event]:
    taken = list(events)
    events.clear()
    return taken


__all__ = ["Capture", "LinkFrame", "messages"]
