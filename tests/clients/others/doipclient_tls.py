"""doipclient by TLS, with its certificate, and without."""

import tempfile
from pathlib import Path

from doipclient import DoIPClient

from isotp.gateway import tls_context
from tests.clients.others.doip_gateway import ENGINE, TESTER, serving
from tests.gateway.certificates import Certificates


def main() -> None:
    """Ask by TLS; without it there is no routing."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(Path(folder))
        with serving(tls_context(certificates.tls)) as served:
            place = {"client_logical_address": TESTER, "udp_port": served.port}
            secure = certificates.client("bench7")
            client = DoIPClient("127.0.0.1", ENGINE, tcp_port=served.tls_port, use_secure=secure, **place)
            client.send_diagnostic(b"\x3e\x00")
            assert client.receive_diagnostic(timeout=20) == b"\x7e\x00"
            client.close()
            try:
                DoIPClient("127.0.0.1", ENGINE, tcp_port=served.port, **place)
            except ConnectionRefusedError as e:
                print(e)
            else:
                raise AssertionError("it has routing without TLS")
        assert any(line.endswith("certificate of 'bench 7'") for line in served.said)
        assert any("NEEDS_TLS" in line for line in served.said)
    print("done")


if __name__ == "__main__":
    main()
