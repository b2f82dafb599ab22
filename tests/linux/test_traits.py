"""The table of kernels: which release has what."""

from pathlib import Path

import pytest

from isotp.linux import release, traits


@pytest.mark.parametrize(
    ("trait", "has", "lacks"),
    [
        (traits.TRUTHFUL_POLL, [(6, 3, 0), (6, 1, 60), (7, 0, 0)], [(6, 1, 59), (6, 2, 16), (5, 10, 200)]),
        (traits.RECEIVE_TIMER_STAYS, [(6, 12, 107), (7, 2, 13)], [(6, 1, 192)]),
        (
            traits.OWN_RESULTS,
            [(6, 1, 180), (6, 12, 100), (7, 2, 13), (7, 3, 4)],
            [(6, 1, 179), (6, 12, 99), (6, 18, 44), (7, 2, 12)],
        ),
        (traits.MAX_PDU_SIZE, [(6, 4)], [(6, 1)]),
    ],
)
def test_what_was_measured(trait: traits.Trait, has: list[tuple[int, ...]], lacks: list[tuple[int, ...]]) -> None:
    assert all(map(trait.is_in, has))
    assert not any(map(trait.is_in, lacks))


def test_the_cure_in_words() -> None:
    assert str(traits.TRUTHFUL_POLL) == "since Linux 6.3, in older series since 6.1.60"
    assert str(traits.CAN_ISOTP) == "since Linux 5.10"


def test_backports_are_older_than_the_mainline() -> None:
    assert all(one < trait.since for trait in traits.EVERY for one in trait.backports)


def test_the_version_of_ubuntu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its release and its version name no patch level."""
    signature = tmp_path / "version_signature"
    signature.write_text("Ubuntu 6.8.0-45.45-generic 6.8.12\n")
    uname = ("Linux", "host", "6.8.0-45-generic", "#45-Ubuntu SMP PREEMPT_DYNAMIC", "x86_64")
    monkeypatch.setattr("os.uname", lambda: uname, raising=False)
    monkeypatch.setattr(release, "_UBUNTU", signature)
    assert release.kernel_version() == (6, 8, 12)
