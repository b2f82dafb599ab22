"""The flags of linux/can/isotp.h, and what the kernels make of them."""

import os
import re
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest

from isotp import OptionError
from isotp.linux.release import kernel_release, kernel_version
from isotp.opts import optflags
from isotp.opts.optflags import check_flags, flags, kernel_honours

HEADER = Path("/usr/include/linux/can/isotp.h")
BITS = {  # of linux/can/isotp.h, without their prefix CAN_ISOTP_
    "LISTEN_MODE": 0x0001,
    "EXTEND_ADDR": 0x0002,
    "TX_PADDING": 0x0004,
    "RX_PADDING": 0x0008,
    "CHK_PAD_LEN": 0x0010,
    "CHK_PAD_DATA": 0x0020,
    "HALF_DUPLEX": 0x0040,
    "FORCE_TXSTMIN": 0x0080,
    "FORCE_RXSTMIN": 0x0100,
    "RX_EXT_ADDR": 0x0200,
    "WAIT_TX_DONE": 0x0400,
    "SF_BROADCAST": 0x0800,
    "CF_BROADCAST": 0x1000,
    "DYN_FC_PARMS": 0x2000,
}

SINCE_5_10 = [f for f in flags if f not in (flags.SF_BROADCAST, flags.CF_BROADCAST, flags.DYN_FC_PARMS)]


def test_both_spellings_have_the_bits_of_the_header() -> None:
    names = {name: int(member) for name, member in flags.__members__.items()}
    assert names == BITS | {f"CAN_ISOTP_{name}": bit for name, bit in BITS.items()}
    assert flags["CAN_ISOTP_TX_PADDING"] is flags.TX_PADDING


@pytest.mark.skipif(not HEADER.exists(), reason="no kernel headers here")
def test_the_header_installed_here_agrees() -> None:
    defined = dict(re.findall(r"#define\s+CAN_ISOTP_(\w+)\s+(0x\w{4})\b", HEADER.read_text(encoding="utf-8")))
    assert len(defined) >= 11  # of Linux 5.10
    assert defined.items() <= {name: f"0x{bit:04x}" for name, bit in BITS.items()}.items()


@pytest.mark.parametrize(
    ("flag", "since"),
    [
        *((f, (5, 10)) for f in SINCE_5_10),
        (flags.SF_BROADCAST, (5, 11)),
        (flags.CF_BROADCAST, (5, 19)),
        (flags.DYN_FC_PARMS, (6, 9)),
    ],
)
def test_kernel_honours_from_its_release_on(flag: flags, since: tuple[int, int]) -> None:
    releases = [(5, minor) for minor in range(10, 20)] + [(6, minor) for minor in range(20)] + [(7, 0), (10, 1)]
    assert [r for r in releases if kernel_honours(flag, r)] == [r for r in releases if r >= since]
    assert kernel_honours(flag, (5, 9)) is None  # an out-of-tree module, if any


@pytest.mark.parametrize("flag", [flags(0x4000), flags(0x80000000), flags.TX_PADDING | flags(0x4000)])
def test_no_kernel_honours_an_unknown_flag(flag: flags) -> None:
    assert kernel_honours(flag, (6, 12)) is False


def test_a_combination_is_honoured_if_all_of_it_is() -> None:
    both = flags.SF_BROADCAST | flags.DYN_FC_PARMS
    assert kernel_honours(both, (6, 1)) is False
    assert kernel_honours(both, (6, 9)) is True


DEBIAN = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-30)"


@pytest.mark.parametrize(
    ("system", "release", "version", "expected"),
    [
        ("Linux", "6.1.0-56-amd64", DEBIAN, (6, 1, 192)),
        ("Linux", "6.1.77-1-lts", "#1 SMP 6.1.78", (6, 1, 77)),
        ("Linux", "6.12.107+deb13-cloud-amd64", "#1 SMP", (6, 12, 107)),
        ("Linux", "6.12.0-1-amd64", DEBIAN, (6, 12, 0)),  # a version of another series says nothing
        ("Linux", "7.3", "#1 SMP", (7, 3, 0)),
        ("Linux", "unreadable", DEBIAN, None),
        ("Darwin", "23.4.0", "Darwin Kernel Version 23.4.0", None),
    ],
)
def test_kernel_version(
    monkeypatch: pytest.MonkeyPatch, system: str, release: str, version: str, expected: tuple[int, int, int] | None
) -> None:
    uname = (system, "host", release, version, "x86_64")
    monkeypatch.setattr("isotp.linux.release.os", SimpleNamespace(uname=lambda: uname))
    assert kernel_version() == expected
    assert kernel_release() == (expected[:2] if expected else None)
    assert kernel_honours(flags.DYN_FC_PARMS) is (None if expected is None else expected >= (6, 9))


def test_kernel_release_without_uname(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "uname", raising=False)
    assert kernel_version() is None
    assert kernel_release() is None


CONTRADICTIONS = {
    flags.SF_BROADCAST | flags.CF_BROADCAST: "SF_BROADCAST and CF_BROADCAST exclude each other",
    flags.LISTEN_MODE | flags.SF_BROADCAST: "LISTEN_MODE only receives",
    flags.LISTEN_MODE | flags.CF_BROADCAST: "LISTEN_MODE only receives",
    flags.RX_EXT_ADDR: "RX_EXT_ADDR .* does nothing without EXTEND_ADDR",
    flags.CHK_PAD_DATA: "CHK_PAD_DATA has nothing to compare with without RX_PADDING",
    flags(0x4000): "no such flag: 0x4000; flags go up to 0x3fff",
    flags(0x80000000) | flags.TX_PADDING: "no such flag: 0x80000000;",
}


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int] | None]:
    running: dict[str, tuple[int, int] | None] = {"is": (6, 12)}
    monkeypatch.setattr(optflags, "kernel_release", lambda: running["is"])
    return running


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(("bits", "reason"), CONTRADICTIONS.items())
def test_contradictions(bits: flags, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        check_flags(bits)


@pytest.mark.usefixtures("release")
def test_all_else_goes_together() -> None:
    met = flags.EXTEND_ADDR | flags.RX_PADDING  # what RX_EXT_ADDR and CHK_PAD_DATA ask for
    refused = set()
    for pair in combinations(flags, 2):
        try:
            check_flags(met | pair[0] | pair[1])
        except OptionError:
            refused.add(pair)
    assert refused == {
        (flags.LISTEN_MODE, flags.SF_BROADCAST),
        (flags.LISTEN_MODE, flags.CF_BROADCAST),
        (flags.SF_BROADCAST, flags.CF_BROADCAST),
    }
    for flag in set(flags) - {flags.RX_EXT_ADDR, flags.CHK_PAD_DATA}:
        check_flags(flag)


def test_a_flag_the_kernel_ignores_is_refused(release: dict[str, tuple[int, int] | None]) -> None:
    release["is"] = (6, 1)
    with pytest.raises(
        OptionError, match=r"this kernel \(6\.1\) stores and ignores DYN_FC_PARMS \(since Linux 6\.9\)"
    ) as e:
        check_flags(flags.DYN_FC_PARMS | flags.TX_PADDING)
    assert "TX_PADDING" not in str(e.value)
    assert e.value.remedy == "leave it out, or use a newer kernel"
    release["is"] = (6, 9)
    check_flags(flags.DYN_FC_PARMS)
    release["is"] = None  # what cannot be told is not refused
    check_flags(flags.DYN_FC_PARMS)
