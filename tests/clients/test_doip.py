"""DoIP clients of other packages reach a simulated ECU through the gateway."""

import shutil
from pathlib import Path

import pytest

from .others import run

NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
OTHERS = Path(__file__).parent / "others"


@pytest.mark.parametrize(
    ("program", "groups"),
    [
        ("doipclient_download.py", ("packages",)),
        pytest.param("doipclient_tls.py", ("packages",), marks=NEEDS_OPENSSL),
        ("gallia_doip.py", ("packages",)),
        ("scapy_doip.py", ("packages", "doip")),
    ],
)
def test_it_works(program: str, groups: tuple[str, ...]) -> None:
    assert run(str(OTHERS / program), groups=groups).endswith("done\n")
