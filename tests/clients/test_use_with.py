"""docs/use-with.md: what it shows of python-can's adapters works; the rest is in tests/kernel/test_clients.py."""

from collections.abc import Iterator

import pytest

import isotp
from isotp.testing import Car, Ecu

from .snippets import ADAPTER, ON_ADAPTER, ON_INTERFACE, SNIPPETS, run

can = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> Iterator[str]:
    """A virtual bus of python-can with an ECU."""
    name: str = request.node.name
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, p2_s=20.0)
    with can.Bus(interface="virtual", channel=name) as adapter, Car(isotp.PythonCanBus(adapter), ecu):
        yield name


@pytest.mark.parametrize("snippet", ON_ADAPTER)
def test_snippet(snippet: str, channel: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(snippet, ADAPTER, f'interface="virtual", channel={channel!r}')
    assert capsys.readouterr().out == "PositiveResponse\n"


def test_each_snippet_is_run() -> None:
    assert len(ON_ADAPTER) == 2
    assert len(ON_ADAPTER) + len(ON_INTERFACE) == len(SNIPPETS)
