"""A link of the kernel, shared over Zenoh."""

import contextlib

import pytest

import isotp
from isotp.remote import Offer

from .conftest import Links, need_kernel, payload

pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed (to do: pip install isotp[remote])")
from ..remote.edges import CAR, ECU, edge, free_port, router, session  # after that: it imports zenoh

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module", autouse=True)
def threads_of_zenoh() -> None:
    """The first sessions start them, with descriptors that stay: no leak of a test."""
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    with router(endpoint), session(endpoint):
        pass


def test_the_kernel_does_the_protocol_and_messages_travel() -> None:
    need_kernel()
    with contextlib.closing(Links()) as links:
        vcan = links()
        offer = Offer("garage/engine", lambda watch: isotp.AsyncSocket(watch_begin=watch), CAR, vcan)
        with (
            edge(lambda _: [offer]) as made,
            isotp.socket(30.0) as ecu,
            isotp.RemoteSocket(made.where, "garage/engine", 30.0, name="alice", watch_begin=True) as alice,
            isotp.RemoteSocket(made.where, "garage/engine", 30.0, name="bob") as bob,
        ):
            ecu.set_fc_opts(stmin=20)
            ecu.bind(vcan, ECU)
            alice.bind()
            bob.set_general_opts(optflags=isotp.opts.flags.LISTEN_MODE)
            bob.bind()
            assert alice.send(payload(100)) == 100
            assert ecu.recv() == payload(100)
            ecu.send(payload(200))
            message = alice.recv_message(begins_within=30.0)
            assert (message.data, bob.recv()) == (payload(200), payload(200))
            assert message.begin_ns is not None
            assert message.begin_ns < message.timestamp_ns
            ecu.close()
            with pytest.raises(isotp.FlowControlTimeoutError):
                alice.send(payload(100))
