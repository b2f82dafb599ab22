"""For tests of programs that use ISO-TP: simulated ECUs, and simulated time.

with Car(isotp.VirtualBus(), Ecu("engine", rxid=0x7E0, txid=0x7E8, dids={0xF190: "WVWZZZ1JZXW000001"})) as car:
...
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .buses import Link
    from .clock import FakeClock, NothingDueError
    from .ecu.answers import Nrc, Refused, Reply, Request
    from .ecu.async_car import AsyncCar
    from .ecu.car import Car
    from .ecu.car_file import load_car
    from .ecu.ecu import Ecu, Exchange
    from .ecu.file_values import CarFileError
    from .ecu.parts import Did, Download, Routine, Security, dtc_number
    from .ecu.rules import Rules, in_turn
    from .faults import Faults
    from .frames import Frames
    from .outages import bus_down, bus_gone, bus_off
    from .simulated import SimulatedSocket
    from .wire import Wire

_HOME = {
    "AsyncCar": "ecu.async_car",
    "Car": "ecu.car",
    "CarFileError": "ecu.file_values",
    "Did": "ecu.parts",
    "Download": "ecu.parts",
    "Ecu": "ecu.ecu",
    "Exchange": "ecu.ecu",
    "FakeClock": "clock",
    "Faults": "faults",
    "Frames": "frames",
    "Link": "buses",
    "NothingDueError": "clock",
    "Nrc": "ecu.answers",
    "Refused": "ecu.answers",
    "Reply": "ecu.answers",
    "Request": "ecu.answers",
    "Routine": "ecu.parts",
    "Rules": "ecu.rules",
    "Security": "ecu.parts",
    "SimulatedSocket": "simulated",
    "Wire": "wire",
    "bus_down": "outages",
    "bus_gone": "outages",
    "bus_off": "outages",
    "dtc_number": "ecu.parts",
    "in_turn": "ecu.rules",
    "load_car": "ecu.car_file",
}

__all__ = [
    "AsyncCar",
    "Car",
    "CarFileError",
    "Did",
    "Download",
    "Ecu",
    "Exchange",
    "FakeClock",
    "Faults",
    "Frames",
    "Link",
    "NothingDueError",
    "Nrc",
    "Refused",
    "Reply",
    "Request",
    "Routine",
    "Rules",
    "Security",
    "SimulatedSocket",
    "Wire",
    "bus_down",
    "bus_gone",
    "bus_off",
    "dtc_number",
    "in_turn",
    "load_car",
]

if not TYPE_CHECKING:  # so that type checkers see a misspelt name

    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{_HOME[name]}", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
