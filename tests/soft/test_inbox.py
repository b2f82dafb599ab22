"""The queue between engine and application."""

import select

import pytest

import isotp
from isotp.sockets import ReceivedMessage
from isotp.soft.inbox import FAILURES_MAX, Inbox


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


def test_each_failure_in_a_row_is_told_and_once() -> None:
    inbox = Inbox(10, bool)
    inbox.put(b"a", 0)
    inbox.put_failure(isotp.WrongSequenceNumberError("one"))
    inbox.put_failure(isotp.ConsecutiveFrameTimeoutError("two"))
    inbox.put(b"b", 0)
    assert taken(inbox) == b"a"
    with pytest.raises(isotp.WrongSequenceNumberError, match="one"):
        taken(inbox)
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError, match="two"):
        taken(inbox)
    assert taken(inbox) == b"b"


def test_an_outage_is_told_once() -> None:
    inbox = Inbox(10, bool)
    for n in range(3):
        inbox.put_failure(isotp.InterfaceDownError(str(n)))
    with pytest.raises(isotp.InterfaceDownError, match="2"):
        taken(inbox)
    assert taken(inbox) is None


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


def test_failures_beyond_the_room_for_them_are_counted() -> None:
    inbox = Inbox(100, bool)
    fd = inbox.fileno()
    for n in range(FAILURES_MAX + 10):
        inbox.put_failure(isotp.WrongSequenceNumberError(str(n)))
    for n in range(FAILURES_MAX - 1):
        with pytest.raises(isotp.WrongSequenceNumberError, match=f"^{n} "):
            taken(inbox)
    with pytest.raises(isotp.WrongSequenceNumberError, match=f"^{FAILURES_MAX + 9} ") as caught:
        taken(inbox)
    assert caught.value.__notes__ == ["10 receptions before it broke off, too; their errors had no room"]
    assert not is_readable(fd)
    inbox.put_failure(isotp.WrongSequenceNumberError("again"))
    with pytest.raises(isotp.WrongSequenceNumberError, match="again") as caught:
        taken(inbox)
    assert not hasattr(caught.value, "__notes__")
    inbox.close()


@pytest.mark.parametrize("room", [0, -1, True, "1", 1.5])
def test_a_room_that_is_none(room: object) -> None:
    with pytest.raises(isotp.OptionError, match="rcvbuf="):
        Inbox(room, bool)  # type: ignore[arg-type]
