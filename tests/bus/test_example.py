"""The example in the docstring of `Bus` is a bus that works."""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import isotp

OnFrame = Callable[[int, bytes], None]


class Wire:
    """The driver of the example: devices that hear each other, each with room for three frames at a time."""

    def __init__(self) -> None:
        self.devices: list[Device] = []

    def open(self, on_frame: OnFrame) -> "Device":
        device = Device(self, on_frame)
        self.devices.append(device)
        return device


class Device:
    def __init__(self, wire: Wire, on_frame: OnFrame) -> None:
        self._wire, self._on_frame, self._offered = wire, on_frame, 0

    def try_send(self, can_id: int, data: bytes) -> bool:
        self._offered += 1
        if self._offered % 4 == 0:
            return False
        for device in self._wire.devices:
            if device is not self:
                device._on_frame(can_id, data)
        return True

    def close(self) -> None:
        self._wire.devices.remove(self)


def example() -> str:
    """The indented code in the docstring."""
    doc = inspect.cleandoc(isotp.bus.Bus.__doc__ or "")
    code = doc[doc.index("    class MyBus") : doc.index("\nMethods raise")]
    return textwrap.dedent(code)


@pytest.fixture
def pair() -> Iterator[tuple[isotp.SoftSocket, isotp.SoftSocket, Wire]]:
    wire = Wire()
    namespace: dict[str, Any] = {"my_driver": SimpleNamespace(open=wire.open)}
    exec("import collections\nimport isotp\n" + example(), namespace)
    my_bus = namespace["MyBus"]
    with isotp.SoftSocket(my_bus(), 10) as one, isotp.SoftSocket(my_bus(), 10) as two:
        one.bind(rxid=0x7E8, txid=0x7E0)
        two.bind("mine", rxid=0x7E0, txid=0x7E8)
        yield one, two, wire
    assert wire.devices == []


@pytest.mark.parametrize("size", [1, 7, 8, 4095])
def test_messages_pass_both_ways(pair: tuple[isotp.SoftSocket, isotp.SoftSocket, Wire], size: int) -> None:
    one, two, _ = pair
    data = bytes(i % 251 for i in range(size))
    one.send(data)
    assert two.recv() == data
    two.send(data)
    assert one.recv() == data


def test_a_receiver_that_is_absent(pair: tuple[isotp.SoftSocket, isotp.SoftSocket, Wire]) -> None:
    one, two, wire = pair
    two.close()
    assert len(wire.devices) == 1
    with pytest.raises(isotp.FlowControlTimeoutError):
        one.send(bytes(100))
