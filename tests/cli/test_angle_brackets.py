"""The protocol of isotpserver, without any network; tests/kernel/test_cli_serve.py has isotpserver itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.cli.output.angle_brackets import Unwrapper, wrap


def test_wrap() -> None:
    assert wrap(b"\x22\xf1\x90") == b"<22F190>\n"


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"<22F190>", [b"\x22\xf1\x90"]),
        (b"<22f190>\r\n", [b"\x22\xf1\x90"]),
        (b"<01><02>", [b"\x01", b"\x02"]),
        (b"noise<01>33>noise", [b"\x01"]),
        (b"<01<02>", [b"\x02"]),
        (b"<99", []),
    ],
)
def test_messages_in_a_stream(stream: bytes, found: list[bytes]) -> None:
    assert Unwrapper(10).feed(stream) == found


@pytest.mark.parametrize("stream", [b"<>", b"<1>", b"<1x>", b"<\xff\xff>"])
def test_what_is_no_message_is_told_and_over(stream: bytes) -> None:
    told, message = Unwrapper(10).feed(stream + b"<01>")
    assert isinstance(told, str)
    assert "not sent" in told
    assert message == b"\x01"


def test_a_message_without_end_takes_no_room() -> None:
    unwrapper = Unwrapper(4)
    assert unwrapper.feed(b"<" + b"00" * 1_000) == []
    assert unwrapper._digits is not None
    assert len(unwrapper._digits) == 9
    (told,) = unwrapper.feed(b">")
    assert "longer than 4 bytes" in str(told)
    assert unwrapper.feed(wrap(b"1234")) == [b"1234"]


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 7))
def test_however_it_is_cut(messages: list[bytes], piece: int) -> None:
    stream = b"".join(map(wrap, messages))
    unwrapper = Unwrapper(20)
    found: list[bytes | str] = []
    for begin in range(0, len(stream), piece):
        found += unwrapper.feed(stream[begin : begin + piece])
    assert found == messages
