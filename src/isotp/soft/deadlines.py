"""When the hub has to look at which link.

One heap for all links. A link whose deadline moves later keeps its entry and is looked at once in vain: that is
cheaper than an entry for each frame. One whose deadline moves earlier gets another entry before it. So the entries
of a link get earlier from one to the next, and there are as many as it has kinds of timers.
"""

import heapq
from itertools import count

from ..linux.timerfd import NEVER
from .link import Link


class Deadlines:
    """The deadlines of all links of a bus, in nanoseconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Link]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, link: Link, due_ns: int) -> None:
        """Look at `link` at `due_ns`, or earlier."""
        armed = link.armed
        if not armed or due_ns < armed[-1]:
            armed.append(due_ns)
            heapq.heappush(self._heap, (due_ns, next(self._order), link))

    def take(self, now: int) -> list[Link]:
        """The links to look at now; they have to be armed anew."""
        heap = self._heap
        links: dict[Link, None] = {}
        while heap and heap[0][0] <= now:
            due_ns, _, link = heapq.heappop(heap)
            if link.armed and link.armed[-1] == due_ns:
                link.armed.pop()
                links[link] = None
        return list(links)

    def forget(self, link: Link) -> None:
        """Look at `link` no more."""
        if link.armed:
            link.armed.clear()
            self._heap = [entry for entry in self._heap if entry[2] is not link]
            heapq.heapify(self._heap)

    @property
    def next_ns(self) -> int:
        """When to look next; NEVER if nothing is armed."""
        return self._heap[0][0] if self._heap else NEVER
