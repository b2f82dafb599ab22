"""Tests of users' projects, which the tests of the pytest plugin run."""

import pytest

LINK = """
    def test_link(isotp_link, isotp_frames):
        tester, ecu = isotp_link
        tester.send(bytes.fromhex("22 F1 90"))
        assert ecu.recv() == bytes.fromhex("22 F1 90")
        ecu.send(bytes.fromhex("62 F1 90") + bytes(5))
        assert tester.recv() == bytes.fromhex("62 F1 90") + bytes(5)
        assert isotp_frames == ["7E0: SF 22 F1 90", "7E8: FF 8 62 F1 90 ..", "FC CTS bs=0 stmin=0", "CF 1 00 00"]
"""

KERNEL = """
    import socket, isotp, isotp.testing

    def test_kernel(isotp_kernel):
        with isotp.socket(5) as a, isotp.socket(5) as b:
            a.bind(isotp_kernel, rxid=0x7E8, txid=0x7E0)
            b.bind(isotp_kernel, rxid=0x7E0, txid=0x7E8)
            a.send(b"\\x3e\\x00")
            assert b.recv() == b"\\x3e\\x00"
        assert [name for _, name in socket.if_nameindex() if "can" in name] == ["vcan0", "vcan1"]

    def test_a_wire(isotp_kernel):
        faults = isotp.Faults().lose("SF", 1)
        with isotp.testing.Wire(isotp_kernel, "vcan1", faults), isotp.socket(5) as a, isotp.socket(5) as b:
            a.bind(isotp_kernel, rxid=0x7E8, txid=0x7E0)
            b.bind("vcan1", rxid=0x7E0, txid=0x7E8)
            a.send(b"\\x3e\\x00")
            a.send(b"\\x3e\\x01")
            assert b.recv() == b"\\x3e\\x01"
"""


def run(pytester: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    """The result of a project with this test file alone; no other plugin is there unless `options` name it."""
    pytester.makepyfile(test)
    plugins = ("-p", "no:cacheprovider", "-p", "isotp.testing.plugin")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        return pytester.runpytest_subprocess(*plugins, "-W", "error", *options)
