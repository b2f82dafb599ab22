"""Routes: which links a frame is for. A look-up by identifier, and one by identifier and address byte."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from ..address import CanAddress
from ..can_frame import CanFrame
from .link import Link

_CAN_ID: Final = itemgetter(0)


class Routes:
    """The links of a bus, by the address of the frames that they receive.

    If several links receive frames with the same address, each of them gets every frame.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[Link, ...]] = {}
        self._by_id_and_byte: dict[tuple[int, int], tuple[Link, ...]] = {}
        self._can_ids: Counter[int] = Counter()

    @property
    def can_ids(self) -> Collection[int]:
        """Every identifier that a link sends or receives."""
        return self._can_ids.keys()

    def at(self, rx: CanAddress | None) -> tuple[Link, ...]:
        """The links that receive frames with the address `rx`."""
        if rx is None:
            return ()
        if rx.address_byte is None:
            return self._by_id.get(rx.can_id, ())
        return self._by_id_and_byte.get((rx.can_id, rx.address_byte), ())

    def _set(self, link: Link, links: tuple[Link, ...]) -> None:
        rx = link.rx
        if rx is None:
            return
        if rx.address_byte is None:
            self._by_id[rx.can_id] = links
            if not links:
                del self._by_id[rx.can_id]
        else:
            key = (rx.can_id, rx.address_byte)
            self._by_id_and_byte[key] = links
            if not links:
                del self._by_id_and_byte[key]

    def add(self, link: Link) -> None:
        """From now on `link` receives its frames."""
        self._set(link, (*self.at(link.rx), link))
        self._can_ids.update(half.can_id for half in (link.rx, link.tx) if half)

    def remove(self, link: Link) -> None:
        """From now on it receives none."""
        self._set(link, tuple(other for other in self.at(link.rx) if other is not link))
        for half in (link.rx, link.tx):
            if half:
                self._can_ids[half.can_id] -= 1
                if not self._can_ids[half.can_id]:
                    del self._can_ids[half.can_id]

    def runs(self, frames: Iterable[CanFrame]) -> Iterator[tuple[tuple[Link, ...], Sequence[CanFrame]]]:
        """Frames in order, those for the same links together, with these links.

        The frames of a long message often follow each other.
        """
        if self._by_id_and_byte:
            for links, run in groupby(frames, self.of):
                yield links, tuple(run)
        else:
            for can_id, run in groupby(frames, _CAN_ID):
                yield self._by_id.get(can_id, ()), tuple(run)

    def of(self, frame: CanFrame) -> tuple[Link, ...]:
        """The links that `frame` is for."""
        can_id, data = frame[0], frame[1]
        links = self._by_id.get(can_id, ())
        if self._by_id_and_byte and data:
            return links + self._by_id_and_byte.get((can_id, data[0]), ())
        return links
