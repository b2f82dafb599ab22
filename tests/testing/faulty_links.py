"""A link of each kind of socket with faults in between, and the table of docs/faults.md that is tried on it."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, NamedTuple

import pytest

import isotp
from isotp import Faults
from isotp.testing.wire import Wire

from ..conformance.blocking import LoopThread, blocking
from ..pages import table
from ..waiting import until

MESSAGE: Final = bytes(range(104))
A_TO_B, B_TO_A = 0x7E0, 0x7E8
SHORT_NS: Final = 200_000_000


class Row(NamedTuple):
    """A row of the table."""

    what: str
    line: str
    engine: tuple[str, str]
    """The results of sender and receiver with `SoftSocket` and `AsyncSoftSocket`."""
    kernel: tuple[str, str]
    """With `isotp.socket` and `AsyncSocket`."""

    def __str__(self) -> str:
        return self.what

    def results(self, kind: str) -> tuple[str, str]:
        """What is to be expected."""
        return self.kernel if "kernel" in kind else self.engine


def _row(what: str, line: str, engine: str, kernel: str) -> Row:
    results = [tuple(cell.split(", ")) for cell in (engine, kernel or engine)]
    return Row(what, line.strip("`"), *results)  # type: ignore[arg-type]


ROWS: Final = [_row(*row) for row in table("docs/faults.md", "What goes wrong")]


class Link(NamedTuple):
    """Two sockets, bound, that send each other frames through faults."""

    a: Any
    b: Any
    bus: Any
    """That of `a`; None with kernel sockets."""


def _virtual(end: ExitStack, faults: Faults, where: Any) -> tuple[Any, Any]:
    bus = isotp.VirtualBus(fate=faults)
    return bus, bus


def _python_can(end: ExitStack, faults: Faults, where: Any) -> tuple[Any, Any]:
    import can

    buses = []
    for channel in (f"{where} a", f"{where} b"):
        for _ in range(2):
            bus: Any = can.Bus(interface="virtual", channel=channel)
            end.callback(bus.shutdown)
            buses.append(isotp.PythonCanBus(bus, can_fd=True))
    end.enter_context(Wire(buses[1], buses[3], faults))
    return buses[0], buses[2]


def _socketcan(end: ExitStack, faults: Faults, where: Any) -> tuple[Any, Any]:
    end.enter_context(Wire(where[0], where[1], faults))
    one, other = map(isotp.SocketCanBus, where)
    return one, other


BUSES: Final = {"virtual": _virtual, "python-can": _python_can, "socketcan": _socketcan}
HOST_KINDS: Final = [f"{kind}{bus}" for bus in ("virtual", "python-can") for kind in ("", "async-")]
VM_KINDS: Final = ["socketcan", "async-socketcan", "kernel", "async-kernel"]


def _limits(results: tuple[str, str]) -> dict[str, int]:
    """Short time limits where they are to pass, so that the tests do not wait long."""
    short = {"n_as_ns": "N_TIMEOUT_A", "n_bs_ns": "N_TIMEOUT_Bs", "n_cr_ns": "N_TIMEOUT_Cr"}
    return {name: SHORT_NS for name, result in short.items() if result in results}


def name_of(request: pytest.FixtureRequest, kind: str) -> str:
    """A name for the channels of python-can; skips the test where that is not installed."""
    if "python-can" in kind:
        pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    name: str = request.node.nodeid
    return name


def open_link(
    end: ExitStack, kind: str, faults: Any, where: Any, results: tuple[str, str] = ("", ""), wftmax: int = 2
) -> Link:
    """A link of the kind.

    Args:
        end: closes it.
        kind: one of the above.
        faults: what happens to its frames.
        where: a name for the channels of python-can, or two CAN interfaces.
        results: what is expected of sender and receiver.
        wftmax: how many WAITs in a row `SoftSocket` accepts.
    """
    loop = LoopThread() if kind.startswith("async-") else None
    if loop:
        end.callback(loop.close)
    made: list[Any] = []
    buses: tuple[Any, Any] = (None, None)
    if "kernel" in kind:
        end.enter_context(Wire(where[0], where[1], faults))
        made = [loop.run(isotp.AsyncSocket) if loop else isotp.socket() for _ in range(2)]
    else:
        buses = BUSES[kind.removeprefix("async-")](end, faults, where)
        made = [loop.run(partial(isotp.AsyncSoftSocket, bus)) if loop else isotp.SoftSocket(bus) for bus in buses]
    a, b = (end.enter_context(blocking(loop, sock) if loop else sock) for sock in made)
    for number, (sock, rxid, txid) in enumerate(((a, B_TO_A, A_TO_B), (b, A_TO_B, B_TO_A))):
        sock.settimeout(30.0)
        sock.set_fc_opts(bs=4)
        if "kernel" in kind:
            sock.bind(where[number], rxid=rxid, txid=txid)
        else:
            sock.set_fc_opts(wftmax=wftmax)
            sock.set_engine_opts(**_limits(results))
            sock.bind(rxid=rxid, txid=txid)
    return Link(a, b, buses[0])


def result(call: Callable[[], object]) -> str:
    """What a call of an end gives: N_OK, another N_Result, or what else happened."""
    try:
        got = call()
    except isotp.TransferError as e:
        return e.n_result.name if e.n_result else ""
    except TimeoutError:
        return "nothing"
    return "N_OK" if got in (MESSAGE, len(MESSAGE)) else "another message"


def try_row(end: ExitStack, kind: str, row: Row, where: Any) -> None:
    """Send a message over a link where `row` happens, and compare the results of both ends."""
    faults = eval(row.line, {"Faults": Faults})
    expected = row.results(kind)
    link = open_link(end, kind, faults, where, expected)
    if expected[1] == "nothing":
        link.b.settimeout(0.3)
    results = result(lambda: link.a.send(MESSAGE)), result(link.b.recv)
    assert results == expected, "\n".join(map(str, faults.done))
    until(lambda: faults.done or row.line == "Faults()")  # a wire may be a moment late
