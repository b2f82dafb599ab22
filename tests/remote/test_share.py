"""What an edge owes to its clients: a message once or its sender told, and each client by himself."""

import contextlib
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import isotp
from isotp.remote import Access, Client, Offer, calls, keys, wire
from isotp.sockets import MSG_DONTWAIT

from ..conformance.blocking import blocking
from ..conformance.conftest import Task
from ..waiting import until
from .edges import CAR, ECU, Edge, edge, free_port, one_link, router, session, zenoh

LINK = "garage/car7/engine"
EDGE_OF = {"mode": "client", "listen/endpoints": []}  # a router elsewhere
LONG = bytes(range(100))  # with STmin 100 ms it takes 1.3 s


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "GIVE_UP_S", 1.0)
    monkeypatch.setattr(calls, "OPEN_S", 0.5)


@pytest.fixture
def engine() -> Iterator[Edge]:
    with edge(one_link) as made:
        yield made


@contextlib.contextmanager
def ecu(made: Edge, stmin: int = 0) -> Iterator[Any]:
    """The other end of the link, on the bus of the edge."""
    sock = made.loop.run(lambda: isotp.AsyncSoftSocket(made.bus, 30.0))
    with blocking(made.loop, sock) as other:
        other.set_fc_opts(stmin=stmin)
        other.bind(ECU)
        yield other


def connect(made: Edge, name: str = "alice", link: str = LINK, **how: Any) -> isotp.RemoteSocket:
    sock = isotp.RemoteSocket(made.where, link, 30.0, name=name, **how)
    sock.bind()
    return sock


def listener(made: Edge, name: str, **how: Any) -> isotp.RemoteSocket:
    sock = isotp.RemoteSocket(made.where, LINK, 30.0, name=name, **how)
    sock.set_general_opts(optflags=isotp.opts.flags.LISTEN_MODE)
    sock.bind()
    return sock


def received(other: Any) -> list[bytes]:
    """All that is left in a socket."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(other.recv(flags=MSG_DONTWAIT))
    return found


# --- once, or told


def test_the_edge_dies_while_it_sends(engine: Edge) -> None:
    with ecu(engine, stmin=100) as other:
        alice = connect(engine)
        sending = Task(lambda: alice.send(LONG))
        until(lambda: other._sock._end.inbox.is_receiving)
        engine.router.close()
        outcome = sending.outcome()
        assert isinstance(outcome, isotp.UnknownOutcomeError)
        assert "ECU" in str(outcome)
        assert other.recv() == LONG
        assert received(other) == []
        alice.close()


def test_a_router_dies_and_the_edge_has_the_last_word() -> None:
    """The edge goes on without it, and answers when it is back."""
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    first = router(endpoint)
    made = Edge(one_link, endpoint=endpoint, settings=EDGE_OF | {"connect/endpoints": [endpoint]})
    with contextlib.closing(made), ecu(made, stmin=100) as other, connect(made) as alice:
        sending = Task(lambda: alice.send(LONG))
        until(lambda: other._sock._end.inbox.is_receiving)
        first.close()
        with router(endpoint):
            assert sending.outcome() == len(LONG)
            assert other.recv() == LONG
            assert received(other) == []
            assert alice.send(b"next") == 4
            assert other.recv() == b"next"
            alice.close()


def test_a_question_that_comes_twice_is_one_call(engine: Edge) -> None:
    with ecu(engine) as other, connect(engine) as alice, session(engine.endpoint) as asking:
        client = alice._end.calls._client  # type: ignore[union-attr]
        question = {"c": client, "op": "send", "n": 7, "timeout": 5.0}
        for _ in range(3):
            (reply,) = asking.get(keys.asked_by(LINK, "alice"), attachment=wire.pack(question), payload=b"abc")
            assert wire.unpack(reply.ok.attachment) == {"ok": {}}
        assert received(other) == [b"abc"]
        never = {"c": client, "op": "outcome", "of": 8}
        for late in (never, question | {"n": 8}, never):
            (reply,) = asking.get(keys.asked_by(LINK, "alice"), attachment=wire.pack(late), payload=b"late")
            assert wire.unpack(reply.ok.attachment) == {"never": True}
        assert received(other) == []


def test_who_comes_back_asks_for_what_he_has_asked_before(engine: Edge) -> None:
    """The edge took him for gone while it sent: he opens the link again, and the message is not sent again."""
    with ecu(engine, stmin=100) as other, connect(engine) as alice:
        calls = alice._end.calls
        assert calls is not None
        before = calls._client
        sending = Task(lambda: alice.send(LONG))
        until(lambda: other._sock._end.inbox.is_receiving)
        engine.loop.run(lambda: engine.share._end((LINK, "alice", before), "a test"))
        assert sending.outcome() == 100
        with pytest.raises(isotp.InterfaceError, match="had lost us"):
            alice.recv()
        assert calls._client != before
        assert alice.send(b"next") == 4
        assert [other.recv(), other.recv()] == [LONG, b"next"]
        assert received(other) == []


def test_outcomes_that_are_forgotten_are_unknown_and_nothing_is_sent_again(engine: Edge) -> None:
    with ecu(engine) as other, connect(engine) as alice:
        client = alice._end.calls._client  # type: ignore[union-attr]
        lease = engine.share._leases[LINK, "alice", client]
        for _ in range(300):
            alice.send(b"x")
        assert len(received(other)) == 300
        for question in ({"op": "outcome", "of": 1}, {"op": "send", "n": 1, "timeout": 5.0}):
            answer = engine.loop.run(lambda said=question: lease.answer(said, b"again"))  # type: ignore[misc]
            assert answer in ({"stranger": True}, {"never": True})
        assert len(lease._calls) <= 256
        assert received(other) == []


def test_errors_are_those_of_the_edge() -> None:
    def offers(bus: isotp.VirtualBus) -> list[Offer]:
        return [Offer(LINK, lambda _: isotp.AsyncSoftSocket(bus), CAR, configure=lambda s: s.set_fc_opts(stmin=100))]

    with edge(offers) as engine, connect(engine) as alice:
        with pytest.raises(isotp.FlowControlTimeoutError) as caught:
            alice.send(LONG)
        assert caught.value.n_result is isotp.N_Result.N_TIMEOUT_Bs
        assert caught.value.link == f"{LINK} {CAR}"
        with ecu(engine) as other:
            other.send(LONG, confirm=False)
            other.abort()
            with pytest.raises(isotp.TransferAbortedError):
                other.confirm()
            with pytest.raises(isotp.TransferError):
                alice.recv()


def test_an_edge_that_restarts_is_told_and_goes_on(engine: Edge) -> None:
    with connect(engine) as alice:
        receiving = Task(alice.recv)
        engine.stop()
        engine.bus = isotp.VirtualBus()
        engine.start(one_link)
        assert isinstance(receiving.outcome(), isotp.InterfaceError)
        with ecu(engine) as other:
            assert alice.send(LONG) == 100
            assert other.recv() == LONG
            other.send(b"reply")
            assert alice.recv() == b"reply"


def test_nobody_offers_it(engine: Edge) -> None:
    with pytest.raises(isotp.InterfaceDownError, match="nobody offers garage/none"):
        connect(engine, link="garage/none")


# --- each by himself


def test_one_holds_it_and_others_listen(engine: Edge) -> None:
    with ecu(engine) as other, connect(engine) as alice, listener(engine, "bob") as bob:
        with pytest.raises(isotp.BusyError, match="held by alice"):
            connect(engine, "carol")
        other.send(LONG)
        assert alice.recv() == bob.recv() == LONG
        with pytest.raises(isotp.OneWayError):
            bob.send(b"x")
        assert engine.share.holders() == {LINK: "alice"}


def test_the_lease_ends_with_its_client(engine: Edge) -> None:
    theirs = session(engine.endpoint)
    alice = isotp.RemoteSocket(theirs, LINK, name="alice")
    alice.bind()
    theirs.close()  # as if its process had died
    until(lambda: engine.share.holders() == {})
    with connect(engine, "bob") as bob, ecu(engine) as other:
        bob.send(b"mine")
        assert other.recv() == b"mine"
    alice.close()


def test_many_may_send_where_the_offer_says_so() -> None:
    def offers(bus: isotp.VirtualBus) -> list[Offer]:
        return [Offer(LINK, lambda _: isotp.AsyncSoftSocket(bus), CAR, exclusive=False)]

    with edge(offers) as made, ecu(made) as other, connect(made) as alice, connect(made, "bob") as bob:
        sends = [Task(lambda s=s, n=n: s.send(bytes([n]) * 50)) for n in range(4) for s in (alice, bob)]  # type: ignore[misc]
        assert [one.outcome() for one in sends] == [50] * 8
        assert sorted(received(other)) == sorted(bytes([n]) * 50 for n in (0, 0, 1, 1, 2, 2, 3, 3))
        other.send(LONG)
        assert alice.recv() == bob.recv() == LONG
        alice.close()
        bob.send(LONG)
        assert other.recv() == LONG


def test_a_slow_client_harms_no_other() -> None:
    """It reads nothing; what the edge cannot keep for it is counted, and it has all the others in order."""

    def offers(bus: isotp.VirtualBus) -> list[Offer]:
        return [Offer(LINK, lambda _: isotp.AsyncSoftSocket(bus, rcvbuf=700), CAR)]

    messages = [n.to_bytes(7, "big") for n in range(1000)]
    with (
        edge(offers) as engine,
        ecu(engine) as other,
        connect(engine) as alice,
        listener(engine, "slow", rcvbuf=100) as slow,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", isotp.MessagesDroppedWarning)
        for message in messages:
            other.send(message)
            assert alice.recv() == message
        kept = 0
        while kept + slow.dropped < len(messages):
            got = slow.recv_message()
            assert got.data == messages[kept + got.dropped]
            kept += 1
        assert (kept > 100, slow.dropped > 500, alice.dropped) == (True, True, 0)


# --- rights


def rights(*clients: Client) -> Access:
    return Access(clients)


def test_what_a_client_may_not_do() -> None:
    access = rights(
        Client("alice", ("garage/*/engine",), deny=("2E", "34-37")),
        Client("bob", ("garage/**",), listen_only=True),
        Client("carol", ("garage/car8/**",)),
    )
    with edge(one_link, access) as made, ecu(made) as other:
        for name in ("carol", "mallory"):
            with pytest.raises(isotp.ForbiddenError, match=f"{name} may not use {LINK}"):
                connect(made, name)
        with connect(made, "alice") as alice, connect(made, "bob") as bob:
            for data in (b"\x2e\xf1\x90x", b"\x34", b"\x37" + LONG):
                with pytest.raises(isotp.ForbiddenError, match=f"begin with {data[0]:02X}"):
                    alice.send(data)
            with pytest.raises(isotp.ForbiddenError, match="only listen"):
                bob.send(b"\x22\xf1\x90")
            assert alice.send(b"\x22\xf1\x90") == 3
            assert received(other) == [b"\x22\xf1\x90"]


def test_options_are_the_owners(engine: Edge) -> None:
    with isotp.RemoteSocket(engine.where, LINK) as sock:
        sock.set_fc_opts(bs=8)
        with pytest.raises(isotp.OptionError, match="bs=8"):
            sock.bind()
        assert not sock.bound

    def offers(bus: isotp.VirtualBus) -> list[Offer]:
        return [
            Offer(
                LINK, lambda _: isotp.AsyncSoftSocket(bus), CAR, options=("bs",),
                configure=lambda s: s.set_general_opts(txpad=0x55),
            )
        ]  # fmt: skip

    with edge(offers) as made, isotp.RemoteSocket(made.where, LINK) as sock:
        sock.set_fc_opts(bs=8)
        sock.bind()
        assert (sock.get_fc_opts().bs, sock.get_general_opts().txpad) == (8, 0x55)
        assert sock.get_general_opts().optflags == isotp.opts.flags.TX_PADDING


def test_addresses_of_a_kind() -> None:
    def offers(bus: isotp.VirtualBus) -> list[Offer]:
        return [Offer("garage/any", lambda _: isotp.AsyncSoftSocket(bus), any=("normalfixed_29bits",))]

    with edge(offers) as made, isotp.RemoteSocket(made.where, "garage/any", 30.0) as sock:
        with pytest.raises(isotp.ForbiddenError, match="any normalfixed_29bits"):
            sock.bind(rxid=1, txid=2)
        with pytest.raises(isotp.OptionError, match="needs an address"):
            sock.bind()
        sock.bind(isotp.Address.normal_fixed(target_address=0x10, source_address=0xF1))
        assert sock.send(b"\x3e\x00") == 2


@pytest.mark.parametrize("name", ["", "a//b", "a/*", "a/@by/b", "a?b", "a#", None])
def test_names_that_no_link_can_have(name: Any) -> None:
    with pytest.raises(isotp.AddressError, match="cannot name a link"):
        isotp.RemoteSocket(None, name)


def test_garbage_harms_nothing(engine: Edge, caplog: pytest.LogCaptureFixture) -> None:
    numbers = random.Random(15)
    with ecu(engine) as other, connect(engine) as alice, session(engine.endpoint) as asking:
        client = alice._end.calls._client  # type: ignore[union-attr]
        odd: list[Any] = [None, "x", -1, 1.5, [], {}, True, 1 << 80, "outcome", "send", "open", "take", "close\0"]
        for _ in range(300):
            header = {key: numbers.choice(odd) for key in ("op", "n", "of", "after", "room", "address", "options")}
            header["c"] = numbers.choice([client[::-1], None, "1234567890"])
            attachment = numbers.choice([wire.pack(header), numbers.randbytes(20), b"[" * 5000, b"", b"{}"])
            key = f"isotp/{LINK}/@by/{numbers.choice(['alice', 'x', '%ff', '..'])}"
            list(asking.get(key, attachment=attachment, payload=numbers.randbytes(8), timeout=5.0))
        for operation in ("send", "begins", "take", "cancel", "outcome", "confirm", "close", "nothing"):
            header = {"c": client, "op": operation, "n": "x", "of": {}, "after": None, "timeout": "long"}
            list(asking.get(f"isotp/{LINK}/@by/alice", attachment=wire.pack(header), timeout=5.0))
        assert received(other) == []
        assert alice.send(LONG) == 100
        assert other.recv() == LONG
    assert 0 < len([one for one in caplog.records if "a question that is none" in one.message]) <= 20
    assert zenoh is not None
