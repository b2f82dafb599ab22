"""Other people's packages over isotp, unchanged; those that need a kernel are in tests/kernel/test_clients.py."""

from pathlib import Path

from .others import run, run_tests_of

ROBOT = Path(__file__).parent / "others" / "uds.robot"


def test_jumpstarter_uds_driver() -> None:
    assert "27 passed" in run_tests_of("jumpstarter_driver_uds_can", "driver_test.py")


def test_jumpstarter_can_driver() -> None:
    assert "20 passed" in run_tests_of("jumpstarter_driver_can", "client_test.py", "-k", "not isotp_socket")


def test_robot_framework_uds() -> None:
    assert "3 passed" in run("-m", "robot", "--output", "NONE", "--log", "NONE", "--report", "NONE", str(ROBOT))
