"""Certificates for tests, made by openssl."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from isotp.gateway import Tls

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Certificates:
    """An authority, and what it signs; each is a file NAME.pem with NAME.key beside it."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed (to do: sudo apt-get install openssl)")
        self.folder = folder
        self._run("req", "-x509", *KEY, "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem")
        self._run("req", "-x509", *KEY, "-subj", "/CN=bench 7", "-keyout", "stranger.key", "-out", "stranger.pem")
        for name, subject in (("gateway", "gateway"), ("bench7", "bench 7"), ("bench8", "bench 8")):
            self._run("req", *KEY[:-2], "-subj", f"/CN={subject}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            signed_by = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "2")
            self._run("x509", "-req", "-in", f"{name}.csr", *signed_by, "-out", f"{name}.pem")

    def _run(self, *command: str) -> None:
        subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True, timeout=60)

    @property
    def tls(self) -> Tls:
        """What the gateway needs of them."""
        return Tls(*(str(self.folder / name) for name in ("gateway.pem", "gateway.key", "authority.pem")))

    def client(self, name: str | None) -> ssl.SSLContext:
        """The TLS of a tester with the certificate `name`, or without."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.folder / "authority.pem")
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context
