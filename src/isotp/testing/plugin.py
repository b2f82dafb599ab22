"""The pytest plugin: sockets and buses for tests of programs that use ISO-TP, and a check that nothing is left open.

pytest loads it wherever isotp is installed, so it imports the rest of the library on use.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..address import Address, AsymmetricAddress
    from ..bus.base import Bus
    from ..soft.socket import SoftSocket
    from .buses import Link
    from .clock import FakeClock
    from .ecu.ecu import Ecu
    from .frames import Frames

_FRAMES: pytest.StashKey[Frames] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("isotp", "ISO-TP (ISO 15765-2)")
    group.addoption(
        "--isotp-bus",
        metavar="WHERE",
        default="virtual",
        help="the bus of the fixture isotp_bus: virtual, for each test one of its own (default); an interface of "
        "Linux, such as vcan0; or INTERFACE:CHANNEL of python-can, such as pcan:PCAN_USBBUS1",
    )
    group.addoption(
        "--isotp-leaks",
        action="store_true",
        help="an error for tests that leave a thread or a descriptor open, as the mark isotp_leaks does for one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and refuse a bus that cannot be."""
    config.addinivalue_line("markers", "isotp_leaks: an error if it leaves a thread running or a file descriptor open")
    if (where := config.getoption("--isotp-bus")) != "virtual":
        from .buses import check

        check(where, config.getoption("numprocesses", None) or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Turn the check for leaks on where a test asks for it."""
    every = config.getoption("--isotp-leaks")
    if every or any(item.get_closest_marker("isotp_leaks") for item in items):
        from .leaks import LeakCheck

        config.pluginmanager.register(LeakCheck(every, config.rootpath), "isotp leaks")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If the test failed, show the user's lines, and what was on the bus."""
    if call.excinfo is not None and not item.config.getoption("fulltrace"):
        _hide_library(call.excinfo, item.config.rootpath)
    report = yield
    frames = item.stash.get(_FRAMES, None)
    if frames is not None and report.failed:
        report.sections.append((f"ISO-TP frames on {frames.bus_name}", str(frames)))
    if frames is not None and report.when == "teardown":
        del item.stash[_FRAMES]  # pytest keeps each item to the end
    return report


def _hide_library(excinfo: pytest.ExceptionInfo[BaseException], project: Path) -> None:
    """Leave the lines of this library out of a traceback with lines of `project`, unless it is the library's own."""

    def is_in_project(path: Path) -> bool:
        return path.is_relative_to(project) and not path.is_relative_to(sys.prefix)

    library = Path(__file__).parents[1]
    if not is_in_project(library) and any(is_in_project(Path(entry.path)) for entry in excinfo.traceback):
        for entry in excinfo.traceback:
            if Path(entry.path).is_relative_to(library):
                entry.frame.f_globals["__tracebackhide__"] = True  # pytest looks at it there, too


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain `isotp_frames == [...]`, and that of a part."""
    frames, wanted = (right, left) if isinstance(left, list) else (left, right)
    if op == "==" and isinstance(wanted, list) and type(frames).__module__ == f"{__package__}.frames":
        return frames.explain(wanted)  # type: ignore[attr-defined, no-any-return]
    return None


@pytest.fixture
def isotp_address() -> Address | AsymmetricAddress:
    """The address of `isotp_tester`: 0x7E0 to the ECU, 0x7E8 from it. Override it to test with another one."""
    import isotp

    return isotp.Address.normal(txid=0x7E0, rxid=0x7E8)


@pytest.fixture
def isotp_clock() -> FakeClock:
    """Simulated time: no call of a test that has this fixture sleeps, whatever it waits for on `isotp_bus`.

    The sockets on it are SimulatedSocket, ECUs a Car: others, as for asyncio, raise TypeError. An `isotp_bus` of
    your own has to be on it: `VirtualBus(clock=isotp_clock)`.
    """
    from .clock import FakeClock

    return FakeClock()


@pytest.fixture
def isotp_bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    """A bus for SoftSockets: a VirtualBus of this test alone, or what --isotp-bus says.

    In a test that has `isotp_clock` it is in simulated time, for SimulatedSockets; with another bus than a VirtualBus
    the test is skipped. Override it for a bus with faults: `return isotp.VirtualBus(fate=isotp.Faults(1, loss=0.01))`.
    """
    from .buses import open_bus, simulated_bus

    where = request.config.getoption("--isotp-bus")
    if "isotp_clock" in request.fixturenames:
        yield simulated_bus(where, request.getfixturevalue("isotp_clock"))
        return
    with ExitStack() as stack:
        yield open_bus(stack, where)


def _check_time(request: pytest.FixtureRequest, bus: Bus) -> None:
    """Fail where a test has simulated time and its bus has not."""
    from .simulated import clock_of

    if "isotp_clock" in request.fixturenames and clock_of(bus) is not request.getfixturevalue("isotp_clock"):
        pytest.fail(f"{bus!r} is not on isotp_clock: in your fixture isotp_bus make it VirtualBus(clock=isotp_clock)")


@pytest.fixture
def isotp_frames(
    request: pytest.FixtureRequest, isotp_bus: Bus, isotp_address: Address | AsymmetricAddress
) -> Iterator[Frames]:
    """The frames on `isotp_bus`, to compare with `["FF 100 62 F1 90 ..", "FC CTS bs=8 stmin=1ms"]`.

    `isotp.testing.notation` says how frames are written. If the test fails, they are shown with their times.
    """
    from .frames import Frames

    _check_time(request, isotp_bus)
    frames = request.node.stash[_FRAMES] = Frames(isotp_bus, isotp_address)
    yield frames
    frames.stop()


@pytest.fixture
def isotp_tester(
    isotp_bus: Bus, isotp_frames: Frames, isotp_address: Address | AsymmetricAddress
) -> Iterator[SoftSocket]:
    """A socket on `isotp_bus`, bound to `isotp_address`, with a timeout of some seconds.

    For other options bind SoftSockets of your own to `isotp_bus`, or SimulatedSockets; in async tests AsyncSoftSockets.
    """
    from .buses import bound

    with bound(isotp_bus, isotp_address) as sock:
        yield sock


@pytest.fixture
def isotp_link(isotp_bus: Bus, isotp_tester: SoftSocket, isotp_address: Address | AsymmetricAddress) -> Iterator[Link]:
    """Two sockets that talk to each other: `tester` is `isotp_tester`, `ecu` is at the other end of its link."""
    from .buses import Link, bound, opposite

    with bound(isotp_bus, opposite(isotp_address)) as ecu:
        yield Link(isotp_tester, ecu)


@pytest.fixture
def isotp_ecu(
    request: pytest.FixtureRequest, isotp_bus: Bus, isotp_address: Address | AsymmetricAddress
) -> Iterator[Ecu]:
    """A simulated ECU on `isotp_bus`, which answers `isotp_tester`; give it rules, DIDs and so on in the test."""
    from .buses import opposite
    from .ecu.car import Car
    from .ecu.ecu import Ecu

    _check_time(request, isotp_bus)
    ecu = Ecu("ecu", opposite(isotp_address))
    with Car(isotp_bus, ecu):
        yield ecu


@pytest.fixture
def isotp_kernel() -> Iterator[str]:
    """The name of a virtual CAN interface, vcan0, in a network namespace of this test alone, for `isotp.socket`.

    There is a second one in it, vcan1: `Wire("vcan0", "vcan1", Faults().lose("FC"))` joins them.

    The test is skipped where this kernel or this user cannot have one; under isotp-kernel it fails then.
    """
    from . import namespace

    with ExitStack() as stack:
        try:
            interface = stack.enter_context(namespace.private())
        except namespace.CannotError as e:
            (pytest.fail if namespace.must_be() else pytest.skip)(str(e))
        yield interface
