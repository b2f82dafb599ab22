"""The queue between engine and application."""

import select

import pytest

import isotp
from isotp.sockets import ReceivedMessage
from isotp.soft.inbox import Inbox


def test_first_in_first_out_and_one_more_than_there_is_room_for() -> None:
    inbox = Inbox(3, bool)
    inbox.put(b"ab", 1)
    inbox.put(b"cdef", 2)
    inbox.put(b"lost", 3)
    assert inbox.dropped == 1
    assert inbox.take(None, "", peek=True) == inbox.take(None, "", peek=False) == ReceivedMessage(b"ab", 1, 0, 1)
    assert inbox.take(None, "", peek=False) == ReceivedMessage(b"cdef", 2, 0, 2)
    inbox.put(b"g", 4)
    assert inbox.take(None, "", peek=False) == ReceivedMessage(b"g", 4, 1, 4), "it says how many were dropped before it"


def test_of_failures_in_a_row_the_latest_is_told_and_once() -> None:
    inbox = Inbox(10, bool)
    inbox.put(b"a", 0)
    inbox.put_failure(isotp.WrongSequenceNumberError("one"))
    inbox.put_failure(isotp.ConsecutiveFrameTimeoutError("two"))
    inbox.put(b"b", 0)
    assert taken(inbox) == b"a"
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError, match="two"):
        taken(inbox)
    assert taken(inbox) == b"b"


def taken(inbox: Inbox) -> bytes | None:
    message = inbox.take(None, "", peek=False)
    return message and message.data


def test_a_message_has_the_time_of_its_begin_and_is_under_way_until_its_end() -> None:
    inbox = Inbox(2, bool)
    under_way = [inbox.is_receiving]
    inbox.begin(1)
    under_way.append(inbox.is_receiving)
    inbox.put(b"ab", 2)
    under_way.append(inbox.is_receiving)
    inbox.begin(3)
    inbox.put(b"dropped", 4)
    under_way.append(inbox.is_receiving)
    assert inbox.take(None, "", peek=False) == ReceivedMessage(b"ab", 2, 0, 1)
    inbox.begin(5)
    inbox.put_failure(isotp.WrongSequenceNumberError("broken off"))
    under_way.append(inbox.is_receiving)
    assert under_way == [False, True, False, False, False]
    inbox.put(b"single", 6)
    with pytest.raises(isotp.WrongSequenceNumberError):
        taken(inbox)
    assert inbox.take(None, "", peek=False) == ReceivedMessage(b"single", 6, 1, 6)


def is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_its_descriptor_is_readable_while_there_is_an_entry() -> None:
    inbox = Inbox(100, bool)
    inbox.put(b"a", 0)
    fd = inbox.fileno()
    assert is_readable(fd)
    inbox.put_failure(isotp.WrongSequenceNumberError("one"))
    taken(inbox)
    assert is_readable(fd)
    with pytest.raises(isotp.WrongSequenceNumberError):
        taken(inbox)
    assert not is_readable(fd)
    inbox.put(b"b", 0)
    assert is_readable(fd)
    inbox.close()


def test_its_descriptor_has_room_for_any_number_of_failures_in_a_row() -> None:
    inbox = Inbox(100, bool)
    fd = inbox.fileno()
    for n in range(1000):  # more bytes than a socket pair takes
        inbox.put_failure(isotp.WrongSequenceNumberError(str(n)))
    with pytest.raises(isotp.WrongSequenceNumberError, match="999"):
        taken(inbox)
    assert not is_readable(fd)
    inbox.close()


@pytest.mark.parametrize("room", [0, -1, True, "1", 1.5])
def test_a_room_that_is_none(room: object) -> None:
    with pytest.raises(isotp.OptionError, match="rcvbuf="):
        Inbox(room, bool)  # type: ignore[arg-type]
