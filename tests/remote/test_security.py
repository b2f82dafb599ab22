"""Who comes in, and what he may do there: certificates, edge files, closed by default."""

import contextlib
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import isotp
from isotp.remote import Access, Client, Offer, find
from isotp.remote.access import services
from isotp.remote.edge_file import Place, load_edge
from isotp.remote.listening import Listening, Tls
from isotp.remote.sessions import client_config, common_name, open_session

from ..waiting import until
from .edges import CAR, Edge, free_port, one_link

LINK = "garage/car7/engine"
EXAMPLE = Path(__file__).parents[2] / "examples/edge.toml"
NAMES = ("edge", "alice", "bob", "revoked")


def make(place: Place, said: dict[str, Any]) -> Offer:
    return Offer(make=lambda _: isotp.AsyncSoftSocket(isotp.VirtualBus()), **said)


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, certificates of it, and one of another authority with the name of alice."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed (to do: apt-get install openssl)")
    folder = tmp_path_factory.mktemp("tls")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for ca, names in (("ca", NAMES), ("other", ("mallory",))):
        key, crt = folder / f"{ca}.key", folder / f"{ca}.crt"
        openssl("req", "-x509", *new, "-keyout", key, "-out", crt, "-days", "2", "-subj", f"/CN={ca}")
        for name in names:
            subject = "/CN=alice" if name == "mallory" else f"/O=garage/CN={name}"
            paths = [folder / f"{name}.{kind}" for kind in ("key", "csr", "crt")]
            openssl("req", *new, "-keyout", paths[0], "-out", paths[1], "-subj", subject)
            openssl(
                "x509", "-req", "-in", paths[1], "-CA", crt, "-CAkey", key, "-CAcreateserial", "-days", "2",
                "-extfile", folder / "ext", "-out", paths[2],
            )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def guarded(certificates: Path) -> Iterator[Edge]:
    """An edge that knows alice and bob, and each for a link of his own."""
    access = Access([Client("alice", ("garage/**",), deny=("2E",)), Client("bob", ("bench/**",))])
    tls = Tls(*(str(certificates / name) for name in ("ca.crt", "edge.crt", "edge.key")))
    endpoint = f"tls/127.0.0.1:{free_port()}"
    settings = Listening((endpoint,), tls=tls).settings(access)
    made = Edge(
        lambda bus: [*one_link(bus), Offer("bench/ecu", lambda _: isotp.AsyncSoftSocket(bus), CAR)],
        access, endpoint, settings,
    )  # fmt: skip
    with contextlib.closing(made):
        yield made


def where(made: Edge, certificates: Path, name: str | None, **more: Any) -> dict[str, Any]:
    tls: dict[str, Any] = {"root_ca_certificate": str(certificates / "ca.crt")}
    if name is not None:
        certificate, key = (str(certificates / f"{name}.{kind}") for kind in ("crt", "key"))
        tls |= {"enable_mtls": True, "connect_certificate": certificate, "connect_private_key": key}
    return {"connect/endpoints": [made.endpoint], "connect/timeout_ms": 700, "transport/link/tls": tls} | more


def test_a_certificate_is_a_name(guarded: Edge, certificates: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "isotp.remote")
    with isotp.RemoteSocket(where(guarded, certificates, "alice"), LINK, 30.0) as alice:
        alice.bind()
        assert alice.send(b"\x22\xf1\x90") == 3
        with pytest.raises(isotp.ForbiddenError, match="2E"):
            alice.send(b"\x2e\xf1\x90")
    told = [record.getMessage() for record in caplog.records]
    assert f"alice {LINK}: sent 3 bytes, 22 f1 90" in told
    assert f"alice {LINK}: sent 3 bytes, 2e f1 90: ForbiddenError" in told


@pytest.mark.parametrize("name", [None, "mallory"], ids=["none", "of another authority"])
def test_who_has_no_certificate_does_not_come_in(guarded: Edge, certificates: Path, name: str | None) -> None:
    sock = isotp.RemoteSocket(where(guarded, certificates, name), LINK, name="alice")
    with pytest.raises(isotp.InterfaceDownError, match="no session"):
        sock.bind()


def test_nobody_takes_the_name_of_another(guarded: Edge, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the edge hears of it; neither of one whose name was struck out."""
    monkeypatch.setattr("isotp.remote.calls.OPEN_S", 0.3)
    for name, link in (("bob", LINK), ("revoked", LINK), ("bob", "bench/ecu")):
        sock = isotp.RemoteSocket(where(guarded, certificates, name), link, name="alice")
        with pytest.raises(isotp.InterfaceDownError, match="lets us ask"):
            sock.bind()
    session = open_session(client_config(where(guarded, certificates, "bob")))
    try:
        stolen: list[Any] = []
        session.declare_queryable(f"isotp/{LINK}/@by/*", stolen.append)
        session.liveliness().declare_token(f"isotp/{LINK}/@offer/mine")
        assert [one.link for one in find(session)] == ["bench/ecu", LINK]
        with isotp.RemoteSocket(where(guarded, certificates, "alice"), LINK, 30.0) as alice:
            alice.bind()
            alice.send(b"\x3e\x00")
            until(lambda: find(session)[1].holders == ("alice",))
        assert find(session)[1].what == str(CAR)
        assert stolen == []
    finally:
        session.close()


def test_bob_may_use_his_own(guarded: Edge, certificates: Path) -> None:
    with isotp.RemoteSocket(where(guarded, certificates, "bob"), "bench/ecu", 30.0) as bob:
        bob.bind()
        assert bob.send(b"\x2e\x00\x00") == 3


def test_common_names(certificates: Path) -> None:
    assert common_name((certificates / "alice.crt").read_text()) == "alice"
    assert common_name((certificates / "ca.crt").read_text()) == "ca"
    for text in ("", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END"):
        with pytest.raises((ValueError, IndexError)):
            common_name(text)


# --- closed by default


@pytest.mark.parametrize("endpoint", ["tcp/0.0.0.0:7447", "tcp/[::]:7447", "tcp/10.0.0.1:7447", "ws/lab:80", "udp/x:1"])
def test_plain_endpoints_need_a_word(endpoint: str) -> None:
    with pytest.raises(isotp.OptionError, match="everybody"):
        Listening((endpoint,)).settings(Access())
    assert Listening((endpoint,), insecure=True).settings(Access())["mode"] == "router"


@pytest.mark.parametrize("endpoint", ["tcp/127.0.0.1:7447", "tcp/[::1]:7447", "tcp/localhost:1", "unixsock-stream//x"])
def test_this_machine_needs_none(endpoint: str) -> None:
    assert Listening((endpoint,)).settings(Access())["listen/endpoints"] == [endpoint]


def test_tls_needs_certificates_and_names() -> None:
    tls = Tls("ca", "crt", "key")
    for listening, access in (
        (Listening(("tls/0.0.0.0:1",)), Access([])),
        (Listening(("tls/0.0.0.0:1",), tls=tls), Access()),
        (Listening(connect=("quic/r:1",)), Access([])),
    ):
        with pytest.raises(isotp.OptionError, match="one of them is missing"):
            listening.settings(access)


def test_services() -> None:
    assert services(["2E", "34-37"]) == {0x2E, 0x34, 0x35, 0x36, 0x37}
    for wrong in ("2", "0x2E", "37-34", "2E-", "", 0x2E):
        with pytest.raises(isotp.OptionError, match="no service"):
            services([wrong])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("pattern", "link", "fits"),
    [
        ("**", "a/b", True), ("a/*", "a/b", True), ("a/*", "a/b/c", False), ("a/**", "a", True),
        ("**/c", "a/b/c", True), ("a/*/c", "a/b/c", True), ("a", "ab", False), ("*", "a/b", False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, link: str, fits: bool) -> None:
    assert Client("x", (pattern,)).may_use(link) is fits


# --- edge files


def test_the_example() -> None:
    edge = load_edge(EXAMPLE, make)
    assert [offer.words for offer in edge.offers] == [
        "rxid=0x7E8 txid=0x7E0", "any normalfixed_29bits", "rxid=0x18DAF110 txid=0x18DA10F1",
    ]  # fmt: skip
    assert edge.access.rights("ci", LINK).denied == {0x2E, 0x31, 0x34, 0x35, 0x36, 0x37}
    assert edge.access.rights("dashboard", LINK).listens
    with pytest.raises(isotp.ForbiddenError):
        edge.access.rights("ci", "garage/bench/gateway")
    assert edge.listening.settings(edge.access)["transport/link/tls"]["enable_mtls"] is True


ONE = 'name = "a/b"\nbus = "virtual"\ntxid = 1\nrxid = 2'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "link is missing"),
        ("[[link]]\nname = 'a/b'\ntxid = 1\nrxid = 2", "needed is interface"),
        (f"[[link]]\n{ONE}\nother = 1", "a/b.other means nothing"),
        (f"[[link]]\n{ONE.replace('a/b', 'a//b')}", "cannot name a link"),
        (f"[[link]]\n{ONE}\n[[client]]\nname = 'x'\ndeny = ['zz']", "no service"),
        (f"[[link]]\n{ONE}\n[[client]]\nlinks = ['x']", "name is missing"),
        ("[[link]]\nname = 'a'\nbus = 'virtual'\ntxid = 1", "txid"),
        ("[[link", "edge.toml"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(textwrap.dedent(text))
    with pytest.raises((isotp.IsoTpError, ValueError), match=says) as caught:
        load_edge(path, make)
    assert "edge.toml" in str(caught.value)
