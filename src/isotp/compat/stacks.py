"""CanStack and NotifierBasedCanStack: transport layers over python-can (extra `isotp[can]`)."""

import weakref
from importlib import import_module
from typing import Any

from ..bus.base import Bus
from ..bus.pythoncan import PythonCanBus
from .can_message import CanMessage
from .layer import TransportLayer

# The bus of ours for each bus of python-can: stacks of one bus share it, so none takes the frames of another.
_shared: "weakref.WeakKeyDictionary[Any, PythonCanBus]" = weakref.WeakKeyDictionary()


class CanStack(TransportLayer):
    """A transport layer over a bus of python-can. Several on one bus share its frames, once they are started.

    Args:
        bus: a `can.BusABC`.
        args: see `TransportLayer`, after rxfn and txfn.
        kwargs: see `TransportLayer`.

    Raises:
        UnavailableError: python-can is not installed.
        TypeError: `bus` is no `can.BusABC`.
    """

    def __init__(self, bus: Any, *args: Any, **kwargs: Any) -> None:
        self.set_bus(bus)
        super().__init__(self._receive, self._send, *args, **kwargs)

    def set_bus(self, bus: Any) -> None:
        """Use another bus; a started layer does so from its next `start` on."""
        PythonCanBus(bus)  # checks it
        self.bus = bus

    def _receive(self, timeout: float) -> CanMessage | None:
        return _to_message(self.bus.recv(timeout))

    def _send(self, message: CanMessage) -> None:
        self.bus.send(
            import_module("can").Message(
                arbitration_id=message.arbitration_id,
                is_extended_id=message.is_extended_id,
                data=message.data,
                is_fd=message.is_fd,
                bitrate_switch=message.bitrate_switch,
            )
        )

    def _make_bus(self) -> Bus:
        return _shared.setdefault(self.bus, PythonCanBus(self.bus, can_fd=True))


class NotifierBasedCanStack(CanStack):
    """A transport layer over a bus of python-can that a `can.Notifier` reads.

    Args:
        bus: a `can.BusABC`, used to send.
        notifier: the `can.Notifier` that reads it.
        args: see `TransportLayer`, after rxfn and txfn.
        kwargs: see `TransportLayer`.
    """

    def __init__(self, bus: Any, notifier: Any, *args: Any, **kwargs: Any) -> None:
        self.notifier = notifier
        self._reader = import_module("can").BufferedReader()  # for `process`
        notifier.add_listener(self._reader)
        super().__init__(bus, *args, **kwargs)

    def start(self) -> None:
        """See `TransportLayer`."""
        super().start()
        self.notifier.remove_listener(self._reader)

    def stop(self) -> None:
        """See `TransportLayer`."""
        if self.started:
            self.notifier.add_listener(self._reader)
        super().stop()

    def _receive(self, timeout: float) -> CanMessage | None:
        return _to_message(self._reader.get_message(timeout))

    def _make_bus(self) -> Bus:
        return PythonCanBus(self.bus, notifier=self.notifier, can_fd=True)


def _to_message(message: Any) -> CanMessage | None:
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
