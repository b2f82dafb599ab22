"""SoftSocket on a vcan against the kernel's ISO-TP, whatever the settings: every message arrives exact, both ways."""

import contextlib
import random

import pytest

import isotp
from isotp import Address
from isotp.sockets import IsoTpSocket

from .conftest import Link, Sockets
from .random_links import SEED, Kinds, RandomLink, draw
from .test_addressing import FUNCTIONAL

BATCHES, LINKS = 26, 20  # 520 links


def links_of_a_batch(batch: int) -> list[RandomLink]:
    """Links that share one bus, so none has an identifier of another."""
    chance = random.Random(f"{SEED} {batch}")
    links: list[RandomLink] = []
    taken: set[int] = set()
    while len(links) < LINKS:
        link = draw(chance)
        tx, rx = link.a.address.tx, link.a.address.rx
        assert tx
        assert rx
        if not taken & {tx.can_id, rx.can_id}:
            taken |= {tx.can_id, rx.can_id}
            links.append(link)
    return links


def exchange(soft: IsoTpSocket, kernel: IsoTpSocket, link: RandomLink) -> None:
    """`soft` is the end a, `kernel` is b."""
    if link.at_once:
        soft.send(link.a_says, confirm=False)
        kernel.send(link.b_says, confirm=False)
        assert kernel.recv() == link.a_says
        assert soft.recv() == link.b_says
        soft.confirm()
        kernel.confirm()
        return
    for sender, receiver, message in ((soft, kernel, link.a_says), (kernel, soft, link.b_says)):
        assert sender.send(message) == len(message)
        assert receiver.recv() == message


@pytest.mark.parametrize("batch", range(BATCHES))
def test_any_message_with_any_settings_both_ways(new_socket: Sockets, vcan: Link, batch: int) -> None:
    kinds = Kinds(new_socket, vcan)
    links = links_of_a_batch(batch)
    with contextlib.ExitStack() as stack:
        # All of them share the bus and its reactor all the time.
        ends = [
            (stack.enter_context(kinds("soft", link.a)), stack.enter_context(kinds("kernel", link.b))) for link in links
        ]
        for number, (link, (soft, kernel)) in enumerate(zip(links, ends, strict=True)):
            try:
                exchange(soft, kernel, link)
            except (AssertionError, OSError) as e:
                pytest.fail(f"ISOTP_TEST_SEED={SEED}, batch {batch}, link {number}: {e!r:.300}\n{link}")


def test_the_settings_drawn_cover_what_there_is() -> None:
    links = [link for batch in range(BATCHES) for link in links_of_a_batch(batch)]
    assert len(links) >= 500
    ends = [end for link in links for end in (link.a, link.b)]
    modes = {end.address.addressing_mode for end in ends if isinstance(end.address, Address)}
    assert modes == set(isotp.AddressingMode)
    assert {end.tx_dl for end in ends} == {None, 8, 12, 16, 20, 24, 32, 48, 64}
    assert {isinstance(end.address, Address) for end in ends} == {True, False}
    sizes = [len(said) for link in links for said in (link.a_says, link.b_says)]
    assert min(sizes) < 4
    assert max(sizes) > 8200


@pytest.mark.parametrize("direction", ["soft to kernel", "kernel to soft"])
@pytest.mark.parametrize("tx_dl", [None, 64])
@pytest.mark.parametrize(("to_all", "of_each", "can_id", "prefix"), FUNCTIONAL.values(), ids=FUNCTIONAL)
def test_functional_addresses(
    new_socket: Sockets,
    vcan: Link,
    to_all: Address,
    of_each: Address,
    can_id: int,
    prefix: bytes,
    tx_dl: int | None,
    direction: str,
) -> None:
    chance = random.Random(f"{SEED} {can_id}")
    with isotp.SoftSocket(isotp.SocketCanBus(vcan), timeout=30.0) as soft:
        kernel = new_socket()
        for sock in (soft, kernel):
            if tx_dl is not None:
                sock.set_ll_opts(mtu=72, tx_dl=tx_dl)
        soft_address, kernel_address = (to_all, of_each) if direction == "soft to kernel" else (of_each, to_all)
        soft.bind(soft_address)
        kernel.bind(vcan, kernel_address)
        ends: tuple[IsoTpSocket, IsoTpSocket] = (soft, kernel)
        sender, receiver = ends if direction == "soft to kernel" else ends[::-1]
        longest = (7 if tx_dl is None else tx_dl - 2) - len(prefix)
        for size in {1, longest, *(chance.randint(1, longest) for _ in range(4))}:
            message = chance.randbytes(size)
            sender.send(message)
            assert receiver.recv() == message, f"ISOTP_TEST_SEED={SEED}"
        with pytest.raises(isotp.MessageSizeError):
            sender.send(bytes(longest + 1))
