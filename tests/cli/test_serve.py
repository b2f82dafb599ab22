"""isotp serve as a process on --bus virtual; test_serve_server.py has its server on a link that a test controls."""

import os
import resource
import signal
import socket
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from ..waiting import until
from .test_virtual import ISOTP, LINK, Start, start

__all__ = ["start"]  # a fixture


class Client:
    def __init__(self, where: int | Path) -> None:
        if isinstance(where, int):
            self._socket = socket.create_connection(("127.0.0.1", where), timeout=60)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(60)
            self._socket.connect(str(where))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        """Send no more, as nc -N."""
        self._socket.shutdown(socket.SHUT_WR)

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self._socket.recv(size - len(data))):
            data += more
        return data

    def close(self) -> None:
        self._socket.close()


def listens(path: Path) -> bool:
    """Whether a client can connect; it makes one, which goes again."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def said(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    return process.stderr.readline().rstrip()


def test_a_conversation(start: Start) -> None:
    server = start("serve", *LINK, "--port", "0", "--linger", "100ms")
    first_line = said(server)
    assert first_line.startswith("virtual rxid=0x7E8 txid=0x7E0 on 127.0.0.1 port ")
    port = int(first_line.split()[-1])
    first, second = Client(port), Client(port)
    assert said(server).endswith(" came")
    assert said(server).endswith(" came")
    first.send(b"<11 22><3")
    assert (first.read(7), second.read(7)) == (b"<1122>\n", b"<1122>\n")
    first.send(b"3><4x>")
    assert second.read(5) == b"<33>\n"
    assert "'x' is not hexadecimal" in said(server)
    second.send(b"<" + b"5A" * 3000 + b">")
    assert first.read(5 + 6003) == b"<33>\n<" + b"5A" * 3000 + b">\n"
    first.close()
    assert said(server).endswith(" went")
    assert second.read(6003) == b"<" + b"5A" * 3000 + b">\n"
    second.send(b"<01>")
    assert second.read(5) == b"<01>\n"
    server.send_signal(signal.SIGINT)
    assert second.read(1) == b""
    second.close()
    _, err = server.communicate(timeout=60)
    assert server.returncode == 130
    assert err.splitlines()[-1] == "ended by SIGINT"


def test_it_cuts_off_who_does_not_read(start: Start) -> None:
    server = start("serve", *LINK, "--fd", "--port", "0")
    port = int(said(server).split()[-1])
    sleeper, sender = Client(port), Client(port)
    said(server), said(server)
    message = b"<" + b"00" * 200_000 + b">"
    for _ in range(40):  # 16 MB: more than the system's own buffers take
        sender.send(message)
        assert sender.read(len(message) + 1) == message + b"\n"
    assert "is cut off" in said(server)
    sender.send(b"<01>")
    assert sender.read(5) == b"<01>\n"
    sleeper.close()
    sender.close()


def test_it_goes_on_when_nobody_reads_what_it_says(start: Start) -> None:
    server = start("serve", *LINK, "--port", "0")
    port = int(said(server).split()[-1])
    assert server.stderr is not None
    server.stderr.close()
    for _ in range(2):
        client = Client(port)
        client.send(b"<11><xx><22>")
        assert client.read(10) == b"<11>\n<22>\n"
        client.close()
    server.send_signal(signal.SIGINT)
    assert server.wait(60) == 130


def test_a_port_that_is_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("serve", *LINK, "--port", str(port))
        _, err = server.communicate(timeout=60)
    assert server.returncode == 1
    assert err == f"cannot listen on 127.0.0.1 port {port}: Address already in use\n"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=lambda v: str(v)
)
def test_a_signal_ends_it_and_clients_get_the_rest(start: Start, number: signal.Signals, status: int) -> None:
    server = start("serve", *LINK, "--fd", "--port", "0")
    client = Client(int(said(server).split()[-1]))
    assert said(server).endswith(" came")
    client.send(b"<" + b"5A" * 100_000 + b"><33>")
    assert client.read(1) == b"<"
    server.send_signal(number)
    rest = b""
    while more := client.read(1 << 16):
        rest += more
    assert rest.startswith(b"5A")
    client.close()
    _, err = server.communicate(timeout=60)
    assert server.returncode == status
    assert err.splitlines()[-1] == f"ended by {number.name}"


def test_a_client_that_ends_its_direction_gets_its_reply_and_goes(start: Start) -> None:
    server = start("serve", *LINK, "--port", "0", "--linger", "500ms")
    client = Client(int(said(server).split()[-1]))
    client.send(b"<22F190><1001>")
    client.end()
    assert client.read(100) == b"<22F190>\n<1001>\n"  # up to its end
    client.close()
    assert said(server).endswith(" came")
    assert said(server).endswith(" went")


@pytest.mark.parametrize("size", [524_287, 1_000_000])
def test_a_message_of_any_size_reaches_all(start: Start, size: int) -> None:
    server = start("serve", *LINK, "--fd", "--port", "0")
    port = int(said(server).split()[-1])
    first, second = Client(port), Client(port)
    assert said(server).endswith(" came")
    assert said(server).endswith(" came")
    first.send(b"<" + b"5A" * size + b"><01>")
    for client in (first, second):
        assert client.read(2 * size + 8) == b"<" + b"5A" * size + b">\n<01>\n"
        client.close()


@pytest.mark.parametrize("begin", [b"POST / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\r\nx"])
def test_what_is_not_the_protocol_does_not_reach_the_bus(start: Start, begin: bytes) -> None:
    server = start("serve", *LINK, "--port", "0")
    port = int(said(server).split()[-1])
    witness = Client(port)
    assert said(server).endswith(" came")
    page = Client(port)
    page.send(begin + b"<1101>")
    with suppress(ConnectionResetError):
        assert page.read(1) == b""
    assert said(server).endswith(" came")
    assert "is cut off: it begins with b" in said(server)
    witness.send(b" \r\n<01>")
    assert witness.read(5) == b"<01>\n"
    witness.close()
    page.close()


# --- a Unix socket, other machines


def test_a_unix_socket_is_for_its_owner(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ecu"
    server = start("serve", *LINK, "--unix", str(path))
    assert said(server).endswith(f" on {path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = Client(path)
    client.send(b"<01>")
    assert client.read(5) == b"<01>\n"
    assert said(server) == "client 1 came"
    other = start("serve", *LINK, "--unix", str(path))
    assert other.communicate(timeout=60)[1] == f"cannot listen on {path}: Address already in use\n"
    client.send(b"<02>")
    assert client.read(5) == b"<02>\n"
    server.send_signal(signal.SIGTERM)
    assert client.read(1) == b""
    server.communicate(timeout=60)
    assert not path.exists()
    client.close()


def test_a_unix_socket_that_was_left_behind_is_replaced(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ecu"
    server = start("serve", *LINK, "--unix", str(path))
    said(server)
    server.kill()
    server.wait(60)
    assert path.is_socket()
    assert said(start("serve", *LINK, "--unix", str(path))).endswith(f" on {path}")


def test_a_file_is_not_replaced_by_a_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ecu"
    path.write_text("mine")
    server = start("serve", *LINK, "--unix", str(path))
    assert server.communicate(timeout=60)[1] == f"cannot listen on {path}: File exists\n"
    assert path.read_text() == "mine"


def test_other_machines_only_if_it_is_said(start: Start) -> None:
    server = start("serve", *LINK, "--host", "0.0.0.0", "--insecure", "--port", "0")
    assert " on 0.0.0.0 port " in said(server)


# --- what a server runs out of


def test_out_of_descriptors_is_said_once(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ecu"
    server = start("serve", *LINK, "--unix", str(path), "--linger", "100ms")
    said(server)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (15, 15))
    clients = [Client(path) for _ in range(20)]
    while "descriptor" not in (line := said(server)):
        assert line.endswith(" came")
    for client in clients:
        client.close()
    last = Client(path)
    last.send(b"<01>")
    assert last.read(5) == b"<01>\n"
    last.close()
    server.send_signal(signal.SIGTERM)
    err = server.communicate(timeout=60)[1]
    assert "descriptor" not in err
    assert "Traceback" not in err


def test_it_serves_though_its_output_is_full(tmp_path: Path) -> None:
    path = tmp_path / "ecu"
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, bytes(1 << 16))
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, b"\0")
    os.set_blocking(theirs, True)
    with subprocess.Popen([*ISOTP, "serve", *LINK, "--unix", str(path)], stdout=theirs, stderr=theirs) as server:
        try:
            until(lambda: listens(path))
            client = Client(path)
            client.send(b"<xx>" * 100 + b"<01>")
            assert client.read(5) == b"<01>\n"
            client.close()
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 143
        finally:
            server.kill()
            os.close(ours)
            os.close(theirs)
