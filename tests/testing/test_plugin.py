"""The pytest plugin, in projects of its users: each test runs pytest in a process of its own."""

import subprocess
import sys

import pytest

from .projects import KERNEL, LINK, run

pytest_plugins = ["pytester"]


def test_it_is_there_where_isotp_is_installed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(LINK)
    pytester.runpytest_subprocess("-p", "no:asyncio").assert_outcomes(passed=1)


def test_a_link_and_its_frames(pytester: pytest.Pytester) -> None:
    run(pytester, LINK, "--isotp-leaks").assert_outcomes(passed=1)


def test_frames_are_shown_when_a_test_fails(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_wrong(isotp_link, isotp_frames):
            isotp_link.tester.send(b"\\x3e\\x00")
            isotp_link.ecu.recv()
            assert isotp_frames == ["SF 3E 80", "SF 7E 00"]
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"E +assert the frames on the bus \(left\) are those wanted \(right\)",
            r"E +!      0\.000 ms  7E0: SF 3E 00   SF 3E 80",
            r"E +! nothing +SF 7E 00",
            r"-+ ISO-TP frames on virtual -+",
            r" +0\.000 ms  7E0: SF 3E 00",
        ]
    )


def test_a_part_of_the_frames_is_explained_too(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        def test_wrong(isotp_link, isotp_frames):
            isotp_link.tester.send(b"\\x3e\\x00")
            assert ["SF 3E 80"] == isotp_frames[:1]
        """,
    )
    result.stdout.re_match_lines([r"E +!      0\.000 ms  7E0: SF 3E 00   SF 3E 80"])


def test_faults_are_shown_when_a_test_fails(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import isotp, pytest

        @pytest.fixture
        def isotp_bus(isotp_clock):
            return isotp.VirtualBus(clock=isotp_clock, fate=isotp.Faults().lose("FC"))

        def test_wrong(isotp_link):
            isotp_link.tester.send(bytes(100))
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r" +0\.000 ms  7E8: FC CTS bs=0 stmin=0   lose\('FC'\) -> nothing"])


def test_a_text_that_is_no_frame_is_an_error_of_the_comparison(pytester: pytest.Pytester) -> None:
    test = """
        def test_wrong(isotp_frames):
            assert isotp_frames == ["FC STOP"]
    """
    result = run(pytester, test)
    result.stdout.re_match_lines([r"E +isotp.testing.notation.NotationError: 'FC STOP': a flow status is needed.*"])
    result.stdout.no_fnmatch_line("*pluggy/*")


@pytest.mark.parametrize(("options", "is_shown"), [([], False), (["--full-trace"], True)])
def test_a_traceback_ends_in_the_users_line(pytester: pytest.Pytester, options: list[str], is_shown: bool) -> None:
    test = """
        def test_wrong(isotp_clock, isotp_tester):
            isotp_tester.recv()
    """
    text = run(pytester, test, *options).stdout.str()
    assert "TimeoutError: no message" in text
    assert ("isotp_tester.recv()\nE " in text) != is_shown
    assert ("socket.py" in text) == is_shown


def test_the_traceback_of_a_fixture_of_ours_is_there(pytester: pytest.Pytester) -> None:
    test = """
        import pytest

        @pytest.fixture
        def isotp_bus():
            pass

        def test_wrong(isotp_tester):
            pass
    """
    run(pytester, test).stdout.re_match_lines([".*plugin.py:[0-9]+: .*"])


def test_a_link_alone_shows_its_frames(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_wrong(isotp_link):\n    isotp_link.tester.send(b'a')\n    assert 0")
    result.stdout.re_match_lines([r"-+ ISO-TP frames on virtual -+", r" +0\.000 ms  7E0: SF 61"])


def test_the_frames_of_a_test_are_not_kept(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "from isotp.testing.plugin import _FRAMES\n"
        "def pytest_sessionfinish(session): print('kept:', sum(_FRAMES in item.stash for item in session.items))"
    )
    run(pytester, LINK, "-s").stdout.fnmatch_lines(["*kept: 0*"])


def test_another_address_and_a_bus_of_ones_own(pytester: pytest.Pytester) -> None:
    test = """
        import isotp, pytest

        @pytest.fixture
        def isotp_bus():
            return isotp.VirtualBus("mine", fate=isotp.Faults(1, loss=1.0))

        @pytest.mark.parametrize("isotp_address", [isotp.Address.extended(
            txid=0x6F1, rxid=0x612, target_address=0x12, source_address=0xF1)])
        def test_lost(isotp_link, isotp_frames):
            isotp_link.tester.send(b"\\x3e\\x00")
            with pytest.raises(TimeoutError):
                isotp_link.ecu.settimeout(0.01)
                isotp_link.ecu.recv()
            assert isotp_frames == ["6F1/12: SF 3E 00"]
            assert isotp_frames.bus_name == "mine"
    """
    run(pytester, test).assert_outcomes(passed=1)


# --- simulated ECUs, simulated time


def test_an_ecu_answers(pytester: pytest.Pytester) -> None:
    test = """
        def test_vin(isotp_ecu, isotp_tester, isotp_frames):
            isotp_ecu.dids[0xF190] = "WVWZZZ1JZXW000001"
            isotp_tester.send(bytes.fromhex("22 F1 90"))
            assert isotp_tester.recv()[3:] == b"WVWZZZ1JZXW000001"
            assert isotp_frames == ["SF 22 F1 90", "FF 20 62 F1 90 ..", "FC CTS", "CF 1 ..", "CF 2 .."]
    """
    run(pytester, test, "--isotp-leaks").assert_outcomes(passed=1)


SIMULATED = """
    import threading, time, pytest
    from isotp.testing import Reply

    def test_a_minute(isotp_clock, isotp_ecu, isotp_tester, isotp_frames):
        isotp_ecu.rules["31 01 FF 00"] = Reply("71 01 FF 00", after_s=6.0)
        isotp_tester.settimeout(60)
        isotp_tester.send(bytes.fromhex("31 01 FF 00"))
        answers = [isotp_tester.recv() for _ in range(3)]
        assert [answer[0] for answer in answers] == [0x7F, 0x7F, 0x71]
        assert isotp_clock.monotonic() == 6.0
        assert threading.active_count() == 1
        with pytest.raises(TimeoutError):
            isotp_tester.recv()
        assert isotp_clock.monotonic() == 66.0
        assert str(isotp_frames).splitlines()[-1].split()[:3] == ["6000.000", "ms", "7E8:"]

    def test_a_link(isotp_link, isotp_clock):
        isotp_link.tester.send(b"a", confirm=False)
        assert isotp_link.ecu.recv() == b"a"
        assert threading.active_count() == 1
"""


def test_simulated_time(pytester: pytest.Pytester) -> None:
    run(pytester, SIMULATED, "--isotp-leaks").assert_outcomes(passed=2)


def test_simulated_time_is_not_for_other_buses(pytester: pytest.Pytester) -> None:
    result = run(pytester, SIMULATED, "--isotp-bus", "vcan0", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*isotp_clock is for virtual buses, not for --isotp-bus vcan0"])


@pytest.mark.parametrize(("clock", "outcome"), [("", "errors"), ("clock=isotp_clock", "passed")])
def test_a_bus_of_ones_own_in_simulated_time(pytester: pytest.Pytester, clock: str, outcome: str) -> None:
    test = f"""
        import isotp, pytest

        @pytest.fixture
        def isotp_bus(isotp_clock):
            return isotp.VirtualBus({clock})

        def test_an_hour(isotp_tester, isotp_clock):
            with pytest.raises(TimeoutError):
                isotp_tester.settimeout(3600)
                isotp_tester.recv()

        def test_an_ecu(isotp_ecu, isotp_clock):
            isotp_clock.sleep(3600)
    """
    result = run(pytester, test)
    result.assert_outcomes(**{outcome: 2})
    if outcome == "errors":
        result.stdout.fnmatch_lines(["*make it VirtualBus(clock=isotp_clock)"])


# --- --isotp-bus


def test_an_adapter_of_python_can(pytester: pytest.Pytester) -> None:
    pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    result = run(pytester, LINK, "--isotp-bus", "virtual:car", "-W", "ignore::DeprecationWarning")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--isotp-bus", "pcan:"], "*--isotp-bus 'pcan:': allowed is virtual, or *; or an interface of Linux, *"),
        (["--isotp-bus", "vcan0", "-p", "xdist.plugin", "-n", "2"], "*--isotp-bus vcan0 with 2 processes: their *"),
    ],
)
def test_a_bus_that_cannot_be(pytester: pytest.Pytester, options: list[str], told: str) -> None:
    result = run(pytester, LINK, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])


@pytest.mark.skipif(sys.platform != "linux", reason="an interface of Linux")
def test_an_interface_that_is_not_there_is_an_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, LINK, "--isotp-bus", "nocan7")
    result.assert_outcomes(errors=1)


# --- leaks

LEAKS = """
    import os, threading, isotp, pytest

    ended = threading.Event()

    @pytest.fixture(scope="module")
    def shared():
        with open(__file__) as file:
            yield file

    {mark}
    def test_a_thread():
        threading.Thread(target=ended.wait, name="left").start()

    @pytest.mark.isotp_leaks
    def test_what_a_fixture_of_the_module_opens(shared, isotp_link):
        ended.set()

    {mark}
    def test_a_file():
        global file
        file = open(__file__)

    {mark}
    def test_a_socket(isotp_bus):
        global sock
        sock = isotp.SoftSocket(isotp_bus)
        sock.bind(rxid=1, txid=2)

    def test_end():
        file.close()
        sock.close()
"""


@pytest.mark.parametrize("mark", ["", "@pytest.mark.isotp_leaks"])
def test_what_is_left_is_named(pytester: pytest.Pytester, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = run(pytester, LEAKS.format(mark=mark), *([] if mark else ["--isotp-leaks"]))
    result.assert_outcomes(passed=5, errors=3)
    result.stdout.re_match_lines(
        [
            r".*ERROR at teardown of test_a_thread",
            r"left after the test: thread 'left', started in test_\w+\.py:\d+: threading\.Thread\(target=ended\.wait.*",
            r".*ERROR at teardown of test_a_file",
            r"left after the test: descriptor \d+ .*test_\w+\.py, <_io\.FileIO name=.*",
            r".*ERROR at teardown of test_a_socket",
            r"left after the test: thread 'isotp virtual', started in test_\w+\.py:\d+: sock\.bind\(rxid=1, txid=2\)",
            r"  not closed: <isotp\.SoftSocket virtual rxid=0x001 txid=0x002>, made in test_\w+\.py:\d+: sock = .*",
            r"ERROR .*test_a_thread - Failed: left after the test: thread 'left', started in .*",
        ]
    )


def test_what_is_left_is_named_once_and_in_few_lines(pytester: pytest.Pytester) -> None:
    test = """
        import socket, isotp, isotp.testing as kit

        kept = []

        def test_a_car(isotp_bus):
            ecus = [kit.Ecu(rxid=n, txid=n + 8) for n in (1, 2, 3)]
            kept.append(kit.Car(isotp_bus, *ecus))
            kept[-1].start()

        def test_a_socket_of_asyncio():
            kept.append(isotp.AsyncSoftSocket(isotp.VirtualBus()))

        def test_a_connection():
            kept.append(socket.create_server(("localhost", 0)))
    """
    result = run(pytester, test, "--isotp-leaks")
    result.assert_outcomes(passed=3, errors=2)
    summary = next(
        i for i, line in enumerate(result.outlines) if "short test summary" in line
    )  # cut short without CI=1
    lines = [line for line in result.outlines[:summary] if line.startswith(("left after", "  "))]
    assert [line.split()[0] for line in lines] == ["left", "thread", "not", "descriptors", "left"]
    assert all("started in test_what_" in line for line in lines[:2])
    assert lines[2].endswith("py:8: kept[-1].start()")
    assert "laddr=('127.0.0.1'" in lines[-1]


def test_nothing_is_checked_unasked(pytester: pytest.Pytester) -> None:
    test = LEAKS.format(mark="").replace("@pytest.mark.isotp_leaks", "")
    run(pytester, test).assert_outcomes(passed=5)


def test_a_thread_that_python_did_not_start_is_no_leak(pytester: pytest.Pytester) -> None:
    test = """
        import _thread, threading

        def test_foreign():
            seen = threading.Event()
            _thread.start_new_thread(lambda: (threading.current_thread(), seen.set()), ())
            assert seen.wait(60)
    """
    run(pytester, test, "--isotp-leaks").assert_outcomes(passed=1)


# --- with other plugins

ASYNC = """
    import asyncio, isotp, pytest

    {mark}
    async def test_two_tasks(isotp_bus, isotp_frames):
        async with isotp.AsyncSoftSocket(isotp_bus, 5) as tester, isotp.AsyncSoftSocket(isotp_bus, 5) as ecu:
            tester.bind(rxid=0x7E8, txid=0x7E0)
            ecu.bind(rxid=0x7E0, txid=0x7E8)
            await asyncio.gather(tester.send(b"\\x3e\\x00"), ecu.recv())
        assert isotp_frames == ["SF 3E 00"]

    {mark}
    async def test_a_blocking_link(isotp_link):
        await asyncio.to_thread(isotp_link.tester.send, b"\\x3e\\x00")
        assert isotp_link.ecu.recv() == b"\\x3e\\x00"
"""


def test_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    result = run(pytester, ASYNC.format(mark="@pytest.mark.asyncio"), "--isotp-leaks", "-p", "pytest_asyncio.plugin")
    result.assert_outcomes(passed=2)


def test_anyio(pytester: pytest.Pytester) -> None:
    pytest.importorskip("anyio")
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'")
    test = ASYNC.format(mark="@pytest.mark.anyio")
    run(pytester, test, "--isotp-leaks", "-p", "anyio.pytest_plugin").assert_outcomes(passed=2)


def test_xdist(pytester: pytest.Pytester) -> None:
    """Two processes that use the same identifiers do not receive each other's frames."""
    pytest.importorskip("xdist")
    test = LINK + "\n".join(LINK.replace("test_link", f"test_link_{n}") for n in range(9))
    run(pytester, test, "-p", "xdist.plugin", "-n", "2", "--isotp-leaks").assert_outcomes(passed=10)


# --- what it costs, and the kernel


def test_pytest_loads_little_of_it() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import isotp.testing.plugin; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"isotp", "isotp.testing", "isotp.testing.plugin"}


def test_no_kernel_skips_and_says_why(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this kernel has: a user who may do nothing."""
    monkeypatch.delenv("ISOTP_KERNEL_RUN", raising=False)
    pytester.makeconftest(
        "from isotp.testing import namespace\n"
        "import isotp\n"
        "def no_socket(): raise isotp.UnavailableError('there is no module', remedy='none')\n"
        "isotp.socket = no_socket"
    )
    result = run(pytester, KERNEL, "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*there is no module; to do: python -m isotp.testing.kernel -- python -m pytest"])
    monkeypatch.setenv("ISOTP_KERNEL_RUN", "vm")
    run(pytester, KERNEL).assert_outcomes(errors=2)
