"""Code for can-isotp 2 on kernel sockets, with this package and with can-isotp."""

from pathlib import Path

import pytest

import isotp

from ..compat.test_program import CAN_ISOTP, OURS, output
from .conftest import Link, skip_or_fail


@pytest.mark.parametrize("package", [OURS, CAN_ISOTP], ids=["ours", "can-isotp"])
def test_the_program_with_sockets(vcan: Link, package: Path) -> None:
    if package == CAN_ISOTP and not (CAN_ISOTP / "isotp").exists():
        skip_or_fail(f"can-isotp is not in {CAN_ISOTP}", "ISOTP_REQUIRE_CLIENTS")
    assert output(package, vcan, "--messages", "2")[-1] == "sockets: True True"


def test_the_names_of_can_isotp(vcan: Link) -> None:
    isotp.tpsock.check_support()
    opts = isotp.tpsock.opts
    with isotp.tpsock.socket(3) as s:
        opts.general.write(s._socket, optflag=opts.flags.TX_PADDING, frame_txtime=1000, txpad=0xAA)
        s.set_opts(opts.flags.TX_PADDING, 2000, None, 0xBB)
        written = opts.GeneralOpts.read(s.real_socket())
        assert (written.optflag, written.frame_txtime, written.txpad) == (opts.flags.TX_PADDING, 2000, 0xBB)
        with pytest.raises(RuntimeError):
            s.send(b"1")
        s.bind(vcan, isotp.Address(isotp.AddressingMode.Normal_11bits, rxid=1, txid=2))
        with pytest.raises(RuntimeError):
            s.set_fc_opts(bs=1)
        s.settimeout(0.01)
        with pytest.raises(TimeoutError):
            s.recv(4095)
