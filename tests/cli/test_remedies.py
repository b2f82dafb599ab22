"""What the library advises, in the words of the command line."""

import warnings

import pytest

import isotp
from isotp.cli.links.link import Link
from isotp.cli.links.remedies import in_options, reworded_warning

LINK = Link(interface="can0", txid=0x7E0, rxid=0x7E8)


def advice(error: BaseException) -> str:
    """What is advised where `error` comes out of a link."""
    with pytest.raises(type(error)) as raised, in_options(LINK):
        raise error
    return str(raised.value).partition("to do: ")[2]


def test_nobody_answers() -> None:
    with isotp.SoftSocket(isotp.VirtualBus()) as sock:
        sock.set_engine_opts(n_bs_ns=1_000_000)
        sock.bind(rxid=0x7E8, txid=0x7E0)
        with pytest.raises(isotp.FlowControlTimeoutError) as raised:
            sock.send(bytes(20))
    shown = advice(raised.value)
    assert "its -d has to be our -s, and its -s our -d" in shown
    assert "rxid" not in shown


def test_a_message_too_long() -> None:
    with isotp.SoftSocket(isotp.VirtualBus()) as sock:
        sock.bind(rxid=0x7E8, txid=0x7E0)
        with pytest.raises(isotp.MessageSizeError) as raised:
            sock.send(bytes(10_000))
    assert advice(raised.value) == "send less at a time"


def test_can_fd_on_classical_can() -> None:
    with isotp.SoftSocket(isotp.VirtualBus(can_fd=False)) as sock:
        sock.set_ll_opts(mtu=72, tx_dl=64)
        with pytest.raises(isotp.OptionError) as raised:
            sock.bind(rxid=0x7E8, txid=0x7E0)
    assert advice(raised.value).startswith(
        "leave out --fd, --brs and -L; or make it CAN FD: sudo ip link set can0 down"
    )


def test_another_socket_on_the_identifier() -> None:
    bus = isotp.VirtualBus()
    with isotp.SoftSocket(bus) as one, isotp.SoftSocket(bus) as other, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        one.bind(rxid=0x7E8, txid=0x7E0)
        other.bind(rxid=0x7E8, txid=0x7E1)
    (warning,) = caught
    shown = reworded_warning(str(warning.message))
    assert "LISTEN_MODE" not in shown
    assert shown.endswith("only listen: isotp recv --listen")


def test_a_command_for_the_system_stays() -> None:
    remedy = "sudo rmmod can-isotp && sudo modprobe can-isotp max_pdu_size=10000"
    assert advice(isotp.MessageSizeError("too long", remedy=remedy)) == remedy


@pytest.mark.parametrize("more", ["", "; or use the engine in Python: isotp.SoftSocket(bus)"])
def test_a_kernel_without_iso_tp_has_ways_out(more: str) -> None:
    shown = advice(isotp.UnavailableError("no ISO-TP", remedy=f"sudo modprobe can-isotp{more}"))
    assert shown == "sudo modprobe can-isotp; or use the engine in Python: --soft, or --bus; or a VM: isotp-kernel"


def test_what_only_a_program_can_do_is_left_out() -> None:
    assert advice(isotp.InterfaceNotFoundError("can0 was removed", remedy="close this socket and bind a new one")) == ""


def test_nothing_came() -> None:
    shown = advice(TimeoutError("no message after 1 s"))
    assert shown == "isotp dump can0 shows the frames; are -s and -d swapped? does -P refuse the padding?"
