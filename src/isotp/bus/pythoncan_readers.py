"""What reads a bus of python-can: a thread of its own, or a listener of the application's `can.Notifier`.

Each frame reaches one reader only. So a bus that a thread reads has no other reader.
"""

import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import can

from ..errors import InterfaceError, InterfaceNotFoundError

_PREVIOUS_S: Final = 1.0  # for how long the thread of a closed bus may go on reading
_POLL_S: Final = 0.1  # the thread looks that often whether it has to end
_STAMPED_BY_LINUX: Final = ("can.interfaces.socketcan.", "can.interfaces.udp_multicast.")


class Reader(ABC):
    """The messages that have arrived since a bus was opened.

    Args:
        bus: the bus.
        name: the name of the bus, for errors.
        wake: called when there is something new, or more to take.
    """

    def __init__(self, bus: can.BusABC, name: str, wake: Callable[[], None]) -> None:
        self.messages: deque[tuple[can.Message, int]] = deque()
        """Each with the time when it arrived, in nanoseconds since the epoch."""
        self.error: Exception | None = None
        """What went wrong since the last look."""
        self._name = name
        self.wake = wake
        # `__class__`: that of a can.ThreadSafeBus is the class of the bus in it.
        self._is_stamped = any(base.__module__.startswith(_STAMPED_BY_LINUX) for base in bus.__class__.__mro__)

    @abstractmethod
    def close(self) -> None:
        """Stop reading; does not wait."""

    @property
    def is_closing(self) -> bool:
        """Whether it is closed and still reads."""
        return False

    def put(self, message: can.Message) -> None:
        """A message has arrived."""
        time_ns = int(message.timestamp * 1e9) if self._is_stamped else time.time_ns()
        self.messages.append((message, time_ns))
        self.wake()

    def report(self, error: Exception, cause: Exception | None = None) -> None:
        """Something went wrong; of several errors the first one says most."""
        if self.error is None:
            error.__cause__ = cause or error.__cause__
            self.error = error
        self.wake()


class ReadingThread(Reader):
    """A thread that reads `bus`.

    Raises:
        InterfaceError: something else reads it.
    """

    def __init__(self, bus: can.BusABC, name: str, wake: Callable[[], None]) -> None:
        super().__init__(bus, name, wake)
        self._ending = threading.Event()
        previous = _readings.get(id(bus))
        if previous is not None and not previous.ending.is_set():
            raise InterfaceError(
                f"{name} is read by another PythonCanBus, and each frame reaches only one of them",
                remedy="make one PythonCanBus of it, and give that to all sockets",
            )
        _check_without_notifier(bus, name)
        self._thread = threading.Thread(
            target=self._read, args=(bus, previous), name=f"isotp reads {name}", daemon=True
        )
        self._thread.start()
        if previous is None:
            weakref.finalize(bus, _readings.pop, id(bus), None)
        _readings[id(bus)] = _Reading(self._thread, self._ending)

    def close(self) -> None:
        """See `Reader`. The thread ends when python-can's `recv` returns."""
        self._ending.set()

    @property
    def is_closing(self) -> bool:
        """See `Reader`."""
        return self._ending.is_set() and self._thread.is_alive()

    def _read(self, bus: can.BusABC, previous: "_Reading | None") -> None:
        if previous is not None:
            previous.thread.join(_PREVIOUS_S)
            if previous.thread.is_alive():
                self.report(
                    InterfaceError(
                        f"{self._name} cannot be read: recv() of python-can has not returned since the bus was closed",
                        remedy="shut down the adapter and open it again; if it happens again, update its driver",
                    )
                )
                previous.thread.join()
        while not self._ending.is_set():
            try:
                message = bus.recv(_POLL_S)
                if message is not None:
                    self.put(message)
                else:
                    _check_without_notifier(bus, self._name)
            except InterfaceError as e:
                self.report(e)
            except can.CanOperationError as e:  # such as an overrun; the adapter may recover
                self.report(InterfaceError(f"{self._name}: {e}"), e)
                self._ending.wait(_POLL_S)
            except Exception as e:
                self.report(e)
                return


class _Reading(NamedTuple):
    """The thread that reads a bus, or was the last one to read it. Once ended it has no reference to the bus."""

    thread: threading.Thread
    ending: threading.Event


# By the id of the bus, since a bus need not be hashable; as long as the bus is there.
_readings: dict[int, _Reading] = {}


def _check_without_notifier(bus: can.BusABC, name: str) -> None:
    """Raise InterfaceError if a notifier reads `bus`."""
    if _notifiers_of(bus):
        raise InterfaceError(
            f"{name} is read by a can.Notifier, and each frame reaches only one reader",
            remedy="PythonCanBus(bus, notifier=notifier)",
        )


def _notifiers_of(bus: can.BusABC) -> tuple[can.Notifier, ...] | None:
    """The notifiers that read `bus`; None: python-can is older than 4.6 and does not tell."""
    find: Callable[[can.BusABC], tuple[can.Notifier, ...]] | None = getattr(can.Notifier, "find_instances", None)
    return None if find is None else find(bus)


class NotifierListener(Reader, can.Listener):
    """A listener of `notifier`, which reads `bus` and perhaps other buses.

    Raises:
        InterfaceError: `notifier` does not read `bus` or does not say what is from there, or something else reads it.
    """

    def __init__(self, notifier: can.Notifier, bus: can.BusABC, name: str, wake: Callable[[], None]) -> None:
        super().__init__(bus, name, wake)
        self._notifier = notifier
        self._bus = bus
        reading = _readings.get(id(bus))
        if reading is not None and not reading.ending.is_set():
            raise InterfaceError(
                f"{name} is read by a PythonCanBus without notifier, and each frame reaches only one reader",
                remedy="PythonCanBus(bus, notifier=notifier) there, too",
            )
        notifiers = _notifiers_of(bus)
        if notifiers is not None and notifier not in notifiers:
            raise InterfaceError(
                f"{name} is not read by the can.Notifier given, or no more", remedy="notifier = can.Notifier(bus, [])"
            )
        if notifier.exception is not None:
            raise InterfaceError(
                f"{name}: its can.Notifier has failed: {notifier.exception}", remedy="notifier = can.Notifier(bus, [])"
            ) from notifier.exception
        self._other_channels()
        notifier.add_listener(self)

    def close(self) -> None:
        """See `Reader`.

        The notifier gets a new list: while it hands a message to the listeners of a list, `remove_listener` would let
        one of the others miss it.
        """
        self._notifier.listeners = [one for one in self._notifier.listeners if one is not self]

    def _other_channels(self) -> list[Any]:
        """The channels of the other buses of the notifier.

        Raises:
            InterfaceError: not all channels are known and different.
        """
        of_notifier: Any = self._notifier.bus
        buses = of_notifier if isinstance(of_notifier, (list, tuple)) else [of_notifier]
        others = [_channel(bus) for bus in buses if bus is not self._bus]
        if others and (None in others or _channel(self._bus) in (None, *others)):
            raise self._mixed_up(f"channels {others} and {_channel(self._bus)!r}")
        return others

    def _mixed_up(self, why: str) -> InterfaceError:
        return InterfaceError(
            f"{self._name}: its can.Notifier reads other buses, too, and the messages do not tell which: {why}",
            remedy="give each bus a can.Notifier of its own",
        )

    # --- see `can.Listener`; the notifier calls them in a thread or in an event loop

    def on_message_received(self, msg: can.Message) -> None:
        """See `can.Listener`."""
        try:
            others = self._other_channels()
        except InterfaceError as e:
            self.report(e)
            return
        if not others or msg.channel == _channel(self._bus):
            self.put(msg)
        elif msg.channel not in others:
            self.report(self._mixed_up(f"channel {msg.channel!r}"))

    def on_error(self, exc: Exception) -> None:
        """See `can.Listener`. What the notifier does about `exc` does not change by this listener."""
        self.report(InterfaceNotFoundError(f"{self._name}: its can.Notifier has failed: {exc}"), exc)
        super().on_error(exc)

    def stop(self) -> None:
        """See `can.Listener`."""
        self.report(InterfaceNotFoundError(f"{self._name}: its can.Notifier was stopped"))


def _channel(bus: can.BusABC) -> Any:
    """What `Message.channel` is for messages of `bus`; None: not known."""
    return getattr(bus, "channel_id", getattr(bus, "channel", None))  # channel_id: python-can's virtual interface
