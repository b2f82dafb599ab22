"""A simulated ECU for Robot Framework, on python-can's virtual bus 0."""

import can

import isotp

from ..ecu import Ecu


class RobotEcu:
    """Its methods are keywords."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def start_ecu(self) -> None:
        self._can_bus = can.Bus(interface="virtual", channel=0)
        socket = isotp.SoftSocket(isotp.PythonCanBus(self._can_bus))
        socket.bind(rxid=0x7E0, txid=0x7E8)
        self._ecu = Ecu(socket)

    def ecu_received(self, data: bytes) -> None:
        assert self._ecu.received == data

    def stop_ecu(self) -> None:
        self._ecu.close()
        self._can_bus.shutdown()
