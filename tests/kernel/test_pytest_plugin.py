"""The pytest plugin on a real kernel."""

import pytest

from ..testing.projects import KERNEL, LINK, run

pytest_plugins = ["pytester"]


def test_each_test_has_an_interface_of_its_own(pytester: pytest.Pytester) -> None:
    """Also in several processes; afterwards the process is where it was."""
    test = KERNEL + KERNEL.replace("def test_", "def test_again_")
    test += """
    def test_outside():
        assert "vcan0" in [name for _, name in socket.if_nameindex()]  # that of isotp-kernel
        with isotp.socket() as sock:
            sock.bind("vcan0", rxid=1, txid=2)
    """
    run(pytester, test, "--isotp-leaks", "-p", "xdist.plugin", "-n", "2").assert_outcomes(passed=5)


def test_a_bus_on_an_interface(pytester: pytest.Pytester) -> None:
    run(pytester, LINK, "--isotp-bus", "vcan0", "--isotp-leaks").assert_outcomes(passed=1)
