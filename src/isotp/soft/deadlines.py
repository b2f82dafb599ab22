"""When the timers of which link are due.

One heap for all links. If the deadline of a link moves to a later time, its entry stays and the hub looks at the link
once for nothing: that costs less than a new entry for each frame. If it moves to an earlier time, the link gets another
entry. So each new entry of a link is earlier than its others, and there are at most as many as it has kinds of timers.
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
        """Let `take` return `link` at `due_ns`, or earlier."""
        armed = link.armed
        if not armed or due_ns < armed[-1]:
            armed.append(due_ns)
            heapq.heappush(self._heap, (due_ns, next(self._order), link))

    def take(self, now: int) -> list[Link]:
        """The links whose time has come; each has to be armed again."""
        heap = self._heap
        links: dict[Link, None] = {}
        while heap and heap[0][0] <= now:
            due_ns, _, link = heapq.heappop(heap)
            if link.armed and link.armed[-1] == due_ns:
                link.armed.pop()
                links[link] = None
        return list(links)

    def forget(self, link: Link) -> None:
        """Drop the entries of `link`."""
        if link.armed:
            link.armed.clear()
            self._heap[:] = [entry for entry in self._heap if entry[2] is not link]
            heapq.heapify(self._heap)

    @property
    def next_ns(self) -> int:
        """When the next link is due; NEVER: none is armed."""
        return self._heap[0][0] if self._heap else NEVER
