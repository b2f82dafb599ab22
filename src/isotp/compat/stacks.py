"""CanStack and NotifierBasedCanStack: transport layers over python-can (extra `isotp[can]`)."""

import weakref
from importlib import import_module
from typing import Any

from ..bus.base import Bus
from ..bus.pythoncan import PythonCanBus
from .can_message import CanMessage
from .layer import TransportLayer

# By the ids of a python-can bus and of its notifier: stacks of one bus share it, so none takes the frames of another.
_shared: "weakref.WeakValueDictionary[tuple[int, int], PythonCanBus]" = weakref.WeakValueDictionary()


class CanStack(TransportLayer):
    """A transport layer over a bus of python-can. Several on one bus share its frames, once they are started.

    Args:
        bus: a `can.BusABC`.
        args: see `TransportLayer`, after rxfn and txfn.
        kwargs: see `TransportLayer`.

    Raises:
        ValueError: `bus` is no `can.BusABC`.
    """

    notifier: Any = None

    def __init__(self, bus: Any, *args: Any, **kwargs: Any) -> None:
        self.set_bus(bus)
        super().__init__(self._receive, self._send, *args, **kwargs)

    def set_bus(self, bus: Any) -> None:
        """Use another bus, a `can.BusABC`, else ValueError; a started layer does so from its next `start` on."""
        self._can: Any = import_module("can")
        if not isinstance(bus, self._can.BusABC):
            raise ValueError(f"bus must be a can.BusABC, not {bus!r}")
        self.bus = bus

    def _receive(self, timeout: float) -> CanMessage | None:
        message = self.bus.recv(timeout)
        if message is None or message.is_error_frame or message.is_remote_frame:
            return None
        return CanMessage(
            message.arbitration_id,
            message.dlc,
            bytes(message.data),
            message.is_extended_id,
            message.is_fd,
            message.bitrate_switch,
        )

    def _send(self, message: CanMessage) -> None:
        self.bus.send(
            self._can.Message(
                arbitration_id=message.arbitration_id,
                is_extended_id=message.is_extended_id,
                data=message.data,
                is_fd=message.is_fd,
                bitrate_switch=message.bitrate_switch,
            )
        )

    def _make_bus(self) -> Bus:
        ids = id(self.bus), id(self.notifier)
        bus = _shared.get(ids)
        if bus is None:
            _shared[ids] = bus = PythonCanBus(self.bus, notifier=self.notifier, can_fd=True)
        return bus


class NotifierBasedCanStack(CanStack):
    """A transport layer over a bus of python-can that a `can.Notifier` reads; it receives once it is started.

    Args:
        bus: a `can.BusABC`, used to send.
        notifier: the `can.Notifier` that reads it.
        args: see `TransportLayer`, after rxfn and txfn.
        kwargs: see `TransportLayer`.

    Raises:
        ValueError: `bus` is no `can.BusABC`.
    """

    def __init__(self, bus: Any, notifier: Any, *args: Any, **kwargs: Any) -> None:
        self.notifier = notifier
        super().__init__(bus, *args, **kwargs)

    def _receive(self, timeout: float) -> CanMessage | None:
        return None
