"""Buses: what sends and receives the CAN frames of user-space sockets. Derive from `Bus` to write your own."""

from ..can_frame import CanFrame
from .base import Bus, Received
from .faults import Faults
from .pythoncan import PythonCanBus
from .socketcan import SocketCanBus
from .virtual import VirtualBus

__all__ = ["Bus", "CanFrame", "Faults", "PythonCanBus", "Received", "SocketCanBus", "VirtualBus"]
