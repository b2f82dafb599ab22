"""The queue between engine and application."""

import pytest

import isotp
from isotp.soft.inbox import Inbox


def test_first_in_first_out_and_one_more_than_there_is_room_for() -> None:
    inbox = Inbox(3)
    inbox.put(b"ab", 1)
    inbox.put(b"cdef", 2)
    inbox.put(b"lost", 3)
    assert inbox.dropped == 1
    assert inbox.first() == inbox.first() == (b"ab", 1, 0)
    inbox.drop_first()
    inbox.drop_first()
    inbox.put(b"g", 4)
    assert inbox.first() == (b"g", 4, 1), "it says how many were dropped before it"


def test_of_failures_in_a_row_the_latest_is_told_and_once() -> None:
    inbox = Inbox(10)
    inbox.put(b"a", 0)
    inbox.put_failure(isotp.WrongSequenceNumberError("one"))
    inbox.put_failure(isotp.ConsecutiveFrameTimeoutError("two"))
    inbox.put(b"b", 0)
    assert inbox.first().data == b"a"
    inbox.drop_first()
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError, match="two"):
        inbox.first()
    assert inbox.first().data == b"b"


@pytest.mark.parametrize("room", [0, -1, True, "1", 1.5])
def test_a_room_that_is_none(room: object) -> None:
    with pytest.raises(isotp.OptionError, match="rcvbuf="):
        Inbox(room)  # type: ignore[arg-type]
