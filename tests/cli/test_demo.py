"""isotp demo where it cannot run; tests/kernel/test_demo.py runs it."""

import sys
from typing import NoReturn

import pytest

import isotp
from isotp.cli.commands.demo_stage import find_vcan
from isotp.cli.main import main
from isotp.linux import interface, native, rtnetlink
from isotp.linux.interface import CanInterface
from isotp.linux.rtnetlink import Link

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


class Anything:
    def close(self) -> None: ...


def refuse() -> NoReturn:
    raise isotp.UnavailableError("this kernel has no CAN", remedy="another kernel")


def test_an_interface_asked_for_by_name_is_never_replaced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native, "open_native_socket", refuse)
    assert main(["demo", "--interface", "vcan0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("this kernel has no CAN")
    assert "to do: another kernel" in err
    assert "make demo-kernel" in err


@pytest.mark.parametrize("arguments", [(), ("--soft",)])
def test_without_iso_tp_it_plays_on_the_engine_and_says_so(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native, "open_native_socket", refuse)
    assert main(["demo", *arguments]) == 0
    out, err = capsys.readouterr()
    words = " ".join(out.split())
    assert err == ""
    assert ("this kernel has no CAN: so this is the engine in this process" in words) == (not arguments)
    assert "FirstFrame FF_DL=100, bytes 0..5" in words
    assert "18 CAN frame(s) in " in words
    assert "100 bytes, identical to what was sent" in words
    assert "isotp.SoftSocket raises, after 1." in words
    assert "FlowControlTimeoutError" in words


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--soft"], ""), ([], "no vcan is up here"), (["--interface", "can0"], "can0 is not a vcan")],
)
def test_a_real_bus_is_never_used(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native, "open_native_socket", Anything)
    monkeypatch.setattr(interface, "can_interfaces", lambda: [CanInterface("can0", True, True, 16)])
    monkeypatch.setattr(rtnetlink, "query_link", lambda name: Link("can", True, "ERROR-ACTIVE"))
    by_name = "--interface" in arguments
    assert main(["demo", *arguments]) == int(by_name)
    out, err = capsys.readouterr()
    assert told in (err if by_name else out)
    assert ("sudo ip link add vcan0 type vcan" in err) == by_name
    assert ("virtual: 100 bytes" in out) != by_name


def test_a_vcan_that_is_down_needs_only_be_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "open_native_socket", Anything)
    monkeypatch.setattr(interface, "can_interfaces", lambda: [CanInterface("vcan5", True, False, 72)])
    monkeypatch.setattr(rtnetlink, "query_link", lambda name: Link("vcan", False, None))
    with pytest.raises(isotp.InterfaceError, match="to do: sudo ip link set vcan5 up"):
        find_vcan(None)
