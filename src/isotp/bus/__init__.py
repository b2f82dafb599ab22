"""Buses: what sends and receives the CAN frames of user-space sockets. Derive from `Bus` to write your own."""

from ..can_frame import CanFrame
from .base import Bus, Received
from .pythoncan import PythonCanBus
from .socketcan import SocketCanBus
from .virtual import VirtualBus

__all__ = ["Bus", "CanFrame", "PythonCanBus", "Received", "SocketCanBus", "VirtualBus"]
