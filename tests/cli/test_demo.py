"""isotp demo where it cannot run; tests/kernel/test_demo.py runs it."""

import sys
from typing import NoReturn

import pytest

import isotp
from isotp import interface
from isotp.cli.main import main
from isotp.interface import CanInterface
from isotp.kernel import rtnetlink, support
from isotp.kernel.rtnetlink import Link

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


class Anything:
    def close(self) -> None: ...


def test_without_iso_tp_it_points_to_make_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> NoReturn:
        raise isotp.UnavailableError("this kernel has no CAN", remedy="another kernel")

    monkeypatch.setattr(support, "open_native_socket", refuse)
    assert main(["demo"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("this kernel has no CAN")
    assert "to do: another kernel" in err
    assert "make demo" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], "no vcan is up here"), (["--interface", "can0"], "can0 is not a vcan")],
)
def test_a_real_bus_is_never_used(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(support, "open_native_socket", Anything)
    monkeypatch.setattr(interface, "can_interfaces", lambda: [CanInterface("can0", True, True, 16)])
    monkeypatch.setattr(rtnetlink, "query_link", lambda name: Link("can", True, "ERROR-ACTIVE"))
    assert main(["demo", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert "sudo ip link add vcan0 type vcan" in err


def test_a_vcan_that_is_down_needs_only_be_set_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(support, "open_native_socket", Anything)
    monkeypatch.setattr(interface, "can_interfaces", lambda: [CanInterface("vcan5", True, False, 72)])
    monkeypatch.setattr(rtnetlink, "query_link", lambda name: Link("vcan", False, None))
    assert main(["demo"]) == 1
    assert "to do: sudo ip link set vcan5 up" in capsys.readouterr().err
