"""A simulated ECU for Robot Framework, on python-can's virtual bus 0."""

import can

import isotp
from isotp.testing import Car, Ecu


class RobotEcu:
    """Its methods are keywords."""

    ROBOT_LIBRARY_SCOPE = "SUITE"

    def start_ecu(self) -> None:
        self._can_bus = can.Bus(interface="virtual", channel=0)
        self._ecu = Ecu(rxid=0x7E0, txid=0x7E8, rules={"36 01 *": "76 01"}, p2_s=20.0, p2_star_s=30.0)
        self._car = Car(isotp.PythonCanBus(self._can_bus), self._ecu)
        self._car.start()

    def ecu_received(self, data: bytes) -> None:
        assert self._ecu.served[-1].request.data[2:] == data

    def stop_ecu(self) -> None:
        self._car.close()
        self._can_bus.shutdown()
