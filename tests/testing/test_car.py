"""ECUs on a bus, served by a thread and in simulated time; clients as users write them."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.testing import (
    Car,
    Did,
    Download,
    Ecu,
    FakeClock,
    Nrc,
    Reply,
    Request,
    Routine,
    Security,
    SimulatedSocket,
    bus_down,
    bus_gone,
)

from ..waiting import until

VIN = "WVWZZZ1JZXW000001"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    threads, files = threading.enumerate(), set(os.listdir("/proc/self/fd"))
    yield
    assert threading.enumerate() == threads
    assert set(os.listdir("/proc/self/fd")) <= files


class World:
    """A bus with its sockets: in real time, or simulated."""

    def __init__(self, clock: FakeClock | None) -> None:
        self.clock = clock
        self.bus = isotp.VirtualBus(clock=clock or time.monotonic_ns)

    def open(self, rxid: int = 0x7E8, txid: int = 0x7E0, timeout: float | None = 30.0) -> isotp.SoftSocket:
        sock = (isotp.SoftSocket if self.clock is None else SimulatedSocket)(self.bus, timeout)
        sock.bind(rxid=rxid, txid=txid)
        return sock

    def until(self, condition: Callable[[], object]) -> None:
        if self.clock is None:
            until(condition)
        else:
            self.clock.sleep(1.0)
            assert condition()


@pytest.fixture(params=["thread", "simulated"])
def world(request: pytest.FixtureRequest) -> World:
    return World(FakeClock() if request.param == "simulated" else None)


def engine(**fields: Any) -> Ecu:
    return Ecu("engine", rxid=0x7E0, txid=0x7E8, dids={0xF190: VIN}, **fields)


def asked(sock: isotp.SoftSocket, request: str) -> str:
    """The final reply to a request."""
    sock.send(bytes.fromhex(request))
    while True:
        reply = sock.recv().hex(" ")
        if not (reply.startswith("7f") and reply.endswith("78")):
            return reply


# --- answers


def test_short_and_long_requests_and_replies(world: World) -> None:
    ecu = engine(rules={"01 *": lambda request: request.data * 2})
    with Car(world.bus, ecu), world.open() as tester:
        assert asked(tester, "3e 00") == "7e 00"
        assert asked(tester, "22 f1 90") == "62 f1 90 " + VIN.encode().hex(" ")
        tester.send(b"\x01" * 2000)
        assert tester.recv() == b"\x01" * 4000


def test_several_ecus_answer_one_functional_request(world: World) -> None:
    ecus = [Ecu(name, rxid=0x7E0 + i, txid=0x7E8 + i, dids={0xF190: name * 9}) for i, name in enumerate("abc")]
    names = {0x7E8 + i: name for i, name in enumerate("abc")}
    with Car(world.bus, *ecus), contextlib.ExitStack() as stack:
        receivers = [stack.enter_context(world.open(can_id, can_id - 8)) for can_id in names]
        sender = stack.enter_context(type(receivers[0])(world.bus, 30.0))
        sender.bind(isotp.Address.normal(txid=0x7DF, functional=True))
        replies = isotp.functional_request(sender, receivers, b"\x22\xf1\x90", timeout=10.0)
        refused = isotp.functional_request(sender, receivers, b"\x22\xf1\x91", timeout=0.1)
    assert {reply.can_id: reply.data[3:].decode() for reply in replies} == {i: n * 9 for i, n in names.items()}
    assert refused == []
    assert all(ecu.served[0].request.is_functional for ecu in ecus)


def test_a_reply_that_takes_its_time(world: World) -> None:
    ecu = engine(rules={"31 *": Reply("71 01", after_s=0.6)}, p2_s=0.1, p2_star_s=0.2)
    with Car(world.bus, ecu), world.open() as tester:
        tester.send(b"\x31\x01")
        assert tester.recv() == b"\x7f\x31\x78"
        assert asked(tester, "22 f1 90") == "7f 22 21"
        while (reply := tester.recv()) == b"\x7f\x31\x78":
            pass
        assert reply == b"\x71\x01"
    assert ecu.counts["NRC 0x78"] == 3  # after 80, 240 and 400 ms


def test_it_can_be_started_again(world: World) -> None:
    car = Car(world.bus, engine())
    for _ in range(2):
        with car, world.open() as tester:
            assert asked(tester, "3e 00") == "7e 00"
            with pytest.raises(RuntimeError, match="runs already"):
                car.start()
        car.close()


def test_run_ends_by_itself(world: World) -> None:
    Car(world.bus, engine()).run(0.01)
    if world.clock is not None:
        assert world.clock.monotonic() == 0.01


def test_options_and_sockets_of_ones_own(world: World) -> None:
    opened = []

    def open_socket(address: isotp.Address) -> isotp.SoftSocket:
        sock = (isotp.SoftSocket if world.clock is None else SimulatedSocket)(world.bus)
        sock.bind(address)
        opened.append(sock)
        return sock

    seen: list[CanFrame] = []
    stop = world.bus.listen(seen.append)
    if world.clock is None:  # with a function there is no bus to see that time is simulated
        with Car(open_socket, engine()), world.open() as tester:
            assert asked(tester, "3e 00") == "7e 00"
        assert all(sock.closed for sock in opened)
    with Car(world.bus, engine(), configure=lambda sock: sock.set_general_opts(txpad=0xAA)), world.open() as tester:
        assert asked(tester, "3e 00") == "7e 00"
    assert seen[-1].data == b"\x02\x7e\x00" + b"\xaa" * 5
    stop()


# --- what goes wrong


def test_broken_receptions_and_garbage(world: World) -> None:
    ecu = engine()
    with Car(world.bus, ecu), world.open() as tester:
        for data in (
            b"",
            b"\x00",
            b"\x0f",
            b"\x21\x00",
            b"\x30",
            b"\x10\x00",
            b"\x1f\xff\x00",
            b"\xff" * 8,
            b"\x10\x14abcdef",
            b"\x25abc",
        ):
            world.bus.inject(CanFrame(0x7E0, data))
        for can_id in (0x7E0, 0x7DF):
            for first in range(256):
                world.bus.inject(CanFrame(can_id, bytes((first, 0x50, 0x99, 1, 2, 3, 4, 5))))
        world.until(lambda: ecu.counts["broken receptions"] > 1)
        assert asked(tester, "3e 00") == "7e 00"


def test_a_scan(capsys: pytest.CaptureFixture[str]) -> None:
    """First frames to every identifier; the transfers that they begin never go on."""
    bus = isotp.VirtualBus()
    ecu = engine()
    with Car(bus, ecu), isotp.SoftSocket(bus, 30.0) as tester:
        found: list[int] = []
        stop = bus.listen(lambda frame: found.append(frame.can_id) if frame.data[:1] == b"\x30" else None)
        for can_id in range(0x700, 0x800):
            bus.inject(CanFrame(can_id, b"\x10\x64abcdef"))
        until(lambda: ecu.counts["broken receptions"])
        stop()
        assert found == [0x7E8]
        tester.bind(rxid=0x7E8, txid=0x7E0)
        assert asked(tester, "22 f1 90").startswith("62 f1 90")


def test_a_tester_that_goes_away(world: World) -> None:
    ecu = engine()
    replies: list[CanFrame] = []
    world.bus.listen(lambda frame: replies.append(frame) if frame.can_id == 0x7E8 else None)
    with Car(world.bus, ecu):
        world.bus.inject(CanFrame(0x7E0, b"\x03\x22\xf1\x90"))  # and no flow control
        world.bus.inject(CanFrame(0x7E0, b"\x02\x3e\x00"))  # its reply waits
        world.until(lambda: replies and ecu.counts["replies"] == 2)
        if world.clock is not None:
            world.clock.sleep(1.0)
        with world.open() as tester:
            assert asked(tester, "3e 00") == "7e 00"
    assert ecu.counts["broken replies"] == 1


def test_what_a_function_raises_is_raised_at_the_end(world: World) -> None:
    ecu = engine(rules={"01": lambda request: 1 // 0})
    with pytest.raises(ZeroDivisionError), Car(world.bus, ecu), world.open() as tester:  # noqa: PT012
        assert asked(tester, "01") == "7f 01 10"
        assert asked(tester, "3e 00") == "7e 00"
    ecu.failures.clear()
    with pytest.raises(KeyError), Car(world.bus, ecu), world.open() as tester:  # noqa: PT012
        asked(tester, "01")
        raise KeyError  # what a test raises itself says more


def test_a_reply_that_is_too_long(world: World) -> None:
    ecu = engine(rules={"01": bytes(9000), "02": b"\x42"})

    def small(sock: isotp.SoftSocket) -> None:
        sock.set_engine_opts(max_pdu_size=8300)

    with pytest.raises(isotp.MessageSizeError), Car(world.bus, ecu, configure=small), world.open() as tester:  # noqa: PT012
        tester.send(b"\x01")
        assert asked(tester, "02") == "42"


def test_an_ecu_goes_on_with_another_clock() -> None:
    ecu = engine(rules={"31": Reply("71", after_s=100.0)})
    for _ in range(2):
        world = World(FakeClock())
        with Car(world.bus, ecu), world.open() as tester:
            assert asked(tester, "3e 00") == "7e 00"
            assert asked(tester, "31") == "71"


def test_a_function_that_opens_no_socket() -> None:
    with pytest.raises(TypeError, match="returned None: needed is an IsoTpSocket bound to rxid=0x7E0 txid=0x7E8"):
        Car(lambda address: None, engine()).start()  # type: ignore[arg-type, return-value]


class RaisingSocket(isotp.SoftSocket):
    def close(self) -> None:
        is_first = not self.closed
        super().close()
        if is_first:
            raise isotp.UnconfirmedSendWarning("a warning that is an error here")


def test_a_close_that_raises_closes_the_others_all_the_same() -> None:
    opened, bus = [], isotp.VirtualBus()

    def open_socket(address: isotp.Address) -> isotp.SoftSocket:
        sock = RaisingSocket(bus)
        sock.bind(address)
        opened.append(sock)
        return sock

    ecus = engine(functional=[0x7DF, 0x7DE]), Ecu(rxid=1, txid=2)
    with pytest.raises(isotp.UnconfirmedSendWarning), Car(open_socket, *ecus):
        pass
    assert [sock.closed for sock in opened] == [True] * 5


def test_a_bus_that_goes_away(world: World) -> None:
    car = Car(world.bus, engine())
    car.start()
    with bus_gone(world.bus):
        world.until(lambda: car._error is not None)
    with pytest.raises(isotp.InterfaceError, match="is gone"):
        car.close()


def test_an_interface_that_goes_down_and_comes_up(world: World) -> None:
    ecu = engine()
    with Car(world.bus, ecu), world.open() as tester:
        with bus_down(world.bus):
            world.until(lambda: tester._end.inbox)  # it was told, and so was the ECU
        with pytest.raises(isotp.InterfaceDownError):
            tester.recv()
        assert asked(tester, "3E 00") == "7e 00"


def test_an_outage_is_not_told_to_the_tester_by_the_ecus_link(world: World) -> None:
    with Car(world.bus, engine()), world.open() as tester:
        link = "rxid=0x7E8 txid=0x7E0"
        with bus_down(world.bus):
            world.until(lambda: tester._end.inbox)
            for _ in range(2):
                with pytest.raises(isotp.InterfaceDownError) as raised:
                    tester.send(b"\x3e\x00")
                assert str(raised.value.link).endswith(link)
        with pytest.raises(isotp.InterfaceDownError) as raised:
            tester.recv()
        assert str(raised.value.link).endswith(link)
        assert asked(tester, "3E 00") == "7e 00"


def test_a_session_ends_by_time_without_a_request(world: World) -> None:
    ecu = engine(s3_s=0.2, security={1: Security(b"\x07")})
    with Car(world.bus, ecu), world.open() as tester:
        for request in ("10 03", "27 01", "27 02 07"):
            asked(tester, request)
        world.until(lambda: ecu.session == 1)
        assert ecu.unlocked is None


def test_a_car_has_each_identifier_once() -> None:
    with pytest.raises(isotp.AddressError, match=r"ECUs 'a' and 'b' have the same identifiers: rxid=0x7E0"):
        Car(isotp.VirtualBus(), Ecu("a", rxid=0x7E0, txid=0x7E8), Ecu("b", rxid=0x7E0, txid=0x7E9))


def test_what_is_no_car() -> None:
    with pytest.raises(TypeError, match="the name of a CAN interface"):
        Car(3, engine())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'engine' is no isotp\.testing\.Ecu"):
        Car(isotp.VirtualBus(), "engine")  # type: ignore[arg-type]


def test_a_car_that_cannot_start_leaves_nothing(world: World) -> None:
    def refuse(sock: Any) -> None:
        raise isotp.OptionError("no")

    with pytest.raises(isotp.OptionError):
        Car(world.bus, engine(), configure=refuse).start()


# --- udsoncan


def add_one(seed: bytes) -> bytes:
    return bytes(byte + 1 & 0xFF for byte in seed)


def programmable() -> Ecu:
    ecu = engine(
        security={1: Security(add_one)},
        download=Download(start=0x8000, size=0x1000, security=1, sessions=(2,)),
        dtcs={"P0301": 0x2F},
    )
    ecu.dids[0xF15A] = Did(bytes(4), writable=True, security=1)

    @ecu.rule("31 01 FF 00 *")
    def erase(request: Request) -> Reply | Nrc:
        return Reply("71 01 FF 00 00", after_s=300.0) if ecu.unlocked else Nrc.SECURITY_ACCESS_DENIED

    return ecu


def test_a_client_of_udsoncan_programs_an_ecu(world: World) -> None:
    udsoncan: Any = pytest.importorskip("udsoncan", reason="udsoncan is not installed")
    client_module: Any = pytest.importorskip("udsoncan.client")
    connections: Any = pytest.importorskip("isotp.clients.udsoncan")
    ecu, image = programmable(), bytes(range(256)) * 3
    if world.clock is None:
        del ecu.rules["31 01 FF 00 *"]
        ecu.routines[0xFF00] = Routine("00", security=1)
    config = {
        "data_identifiers": {0xF190: udsoncan.AsciiCodec(17), 0xF15A: ">L"},
        "security_algo": lambda level, seed, params: add_one(seed),
        "request_timeout": None,
        "p2_timeout": 30 if world.clock is None else 1,
    }
    began = time.perf_counter()
    with Car(world.bus, ecu), world.open() as tester:
        client = client_module.Client(connections.Connection(tester), config=config)
        client.open()
        assert client.read_data_by_identifier(0xF190).service_data.values[0xF190] == VIN
        assert client.get_number_of_dtc_by_status_mask(0xFF).service_data.dtc_count == 1
        client.change_session(2)
        with pytest.raises(udsoncan.exceptions.NegativeResponseException, match="0x33"):
            client.write_data_by_identifier(0xF15A, 7)
        client.unlock_security_access(1)
        client.write_data_by_identifier(0xF15A, 7)
        client.start_routine(0xFF00)
        location = udsoncan.MemoryLocation(0x8000, len(image), address_format=16, memorysize_format=16)
        size = client.request_download(location).service_data.max_length - 2
        for number, at in enumerate(range(0, len(image), size), 1):
            client.transfer_data(number, image[at : at + size])
        client.request_transfer_exit()
        client.ecu_reset(1)
    assert ecu.download is not None
    assert ecu.download.done == [(0x8000, image)]
    assert ecu.dids[0xF15A].value == b"\0\0\0\x07"
    if world.clock is not None:
        assert 300 <= world.clock.monotonic() < 301
        assert time.perf_counter() - began < 5


# --- testers that it does not know


def any_tester(**fields: Any) -> Ecu:
    address = isotp.Address.normal_fixed(source_address=0x10, target_address=0xF1)
    return Ecu("any", address, dids={0xF190: VIN * 5}, any_tester=True, **fields)


@pytest.mark.parametrize(("base", "tester_address"), [(0x18DA, 0xF1), (0x18DA, 0x45), (0x14DA, 0xF1), (0x00DA, 0xFA)])
def test_any_tester_with_any_priority(base: int, tester_address: int, world: World) -> None:
    with Car(world.bus, any_tester()):
        with world.open(base << 16 | tester_address << 8 | 0x10, base << 16 | 0x1000 | tester_address) as tester:
            tester.send(b"\x22" + b"\xf1\x90" * 9)  # its first frame is not lost
            assert len(tester.recv()) == 1 + 9 * (2 + 5 * 17)
            assert asked(tester, "22 f1 90").startswith("62 f1 90")
        id_of_all = base + 1 << 16 | 0x3300 | tester_address
        with world.open(base << 16 | tester_address << 8 | 0x10, id_of_all) as tester:
            assert asked(tester, "3e 00") == "7e 00"


def test_several_testers_at_once(world: World) -> None:
    ecu = any_tester()
    with Car(world.bus, ecu), contextlib.ExitStack() as stack:
        testers = [stack.enter_context(world.open(0x18DA0010 | sa << 8, 0x18DA1000 | sa)) for sa in range(0x20, 0x28)]
        for tester in testers:
            tester.send(b"\x22\xf1\x90")
        for tester in testers:
            assert tester.recv()[3:] == VIN.encode() * 5
        assert ecu.counts["requests"] == 8


def test_a_scan_with_every_address(world: World) -> None:
    ecu = any_tester(functional=())
    with Car(world.bus, ecu):
        for sa in range(0x100):
            world.bus.inject(CanFrame(0x98DA1000 | sa, b"\x02\x3e\x00"))
        world.until(lambda: ecu.counts["requests"] == 255)
    assert ecu.counts["replies"] == 255  # not to its own address


def test_several_ecus_for_any_tester_get_a_functional_request(world: World) -> None:
    addresses = [isotp.Address.normal_fixed(source_address=own, target_address=0xF1) for own in (0x10, 0x11)]
    ecus = [Ecu(str(address), address, any_tester=True) for address in addresses]
    replies: list[int] = []
    world.bus.listen(lambda frame: replies.append(frame.can_id) if frame.data[1:2] == b"\x7e" else None)
    with Car(world.bus, *ecus):
        world.bus.inject(CanFrame(0x98DB3345, b"\x02\x3e\x00"))
        world.until(lambda: len(replies) == 2)
        world.bus.inject(CanFrame(0x98DB33F1, b"\x02\x3e\x00"))  # the tester that they know
        world.until(lambda: len(replies) == 4)
    assert set(replies) == {0x98DA4510, 0x98DA4511, 0x98DAF110, 0x98DAF111}


def test_a_functional_request_of_the_usual_tester_to_an_ecu_of_another_one(world: World) -> None:
    address = isotp.Address.normal_fixed(source_address=0x10, target_address=0xFA)
    with Car(world.bus, Ecu(address=address, any_tester=True, functional=0x18DB33F1)):
        with world.open(0x18DAF110, 0x18DB33F1) as tester:
            assert asked(tester, "3e 00") == "7e 00"
        with world.open(0x18DAFA10, 0x18DB33FA) as tester:
            assert asked(tester, "3e 00") == "7e 00"


def addressed(world: World, address: isotp.Address) -> isotp.SoftSocket:
    sock = (isotp.SoftSocket if world.clock is None else SimulatedSocket)(world.bus, 30.0)
    sock.bind(address)
    return sock


def test_any_tester_with_extended_addressing(world: World) -> None:
    def of_ecu(own: int) -> isotp.Address:
        return isotp.Address.extended(rxid=0x6F1, txid=0x600 | own, source_address=own, target_address=0xF1)

    def of_tester(own: int, ecu: int) -> isotp.Address:
        return isotp.Address.extended(rxid=0x600 | ecu, txid=0x600 | own, source_address=own, target_address=ecu)

    ecus = [Ecu(hex(own), of_ecu(own), dids={0xF190: bytes((own,)) * 50}, any_tester=True) for own in (0x12, 0x60)]
    with Car(world.bus, *ecus):
        for own in (0xF1, 0xF4, 0x01):
            for ecu in (0x12, 0x60):
                with addressed(world, of_tester(own, ecu)) as tester:
                    assert asked(tester, "22 f1 90") == "62 f1 90" + f" {ecu:02x}" * 50


def test_any_extension(world: World) -> None:
    """A gateway answers for all behind it but those that are ECUs of their own."""

    def address(extension: int, *, is_ecu: bool) -> isotp.Address:
        rxid, txid = (0x750, 0x758) if is_ecu else (0x758, 0x750)
        return isotp.Address.mixed_11bits(rxid=rxid, txid=txid, address_extension=extension)

    gateway = Ecu("gateway", address(0x40, is_ecu=True), dids={1: b"g" * 50}, any_extension=True)
    door = Ecu("door", address(0x41, is_ecu=True), dids={1: b"d" * 50})
    with Car(world.bus, gateway, door):
        for extension, letter in ((0x40, "67"), (0x41, "64"), (0x00, "67"), (0xFF, "67")):
            with addressed(world, address(extension, is_ecu=False)) as tester:
                assert asked(tester, "22 00 01") == "62 00 01" + f" {letter}" * 50
    assert gateway.counts["requests"] == 3


def test_many_requests_at_once_of_a_tester_that_comes() -> None:
    """None of them waits for the next one."""
    bus, go_on = isotp.VirtualBus(), threading.Event()
    ecu = any_tester(rules={"01": lambda request: b"\x41" if go_on.wait(30.0) else b""})
    with Car(bus, ecu):
        bus.inject(CanFrame(0x98DA1045, b"\x01\x01"))
        for _ in range(200):
            bus.inject(CanFrame(0x98DA1045, b"\x02\x3e\x80"))
        for _ in range(2):  # turns: the requests have arrived
            bus.driver.call(bool)
        go_on.set()
        until(lambda: ecu.counts["requests"] == 201)


def test_a_link_that_cannot_be_opened_is_reported_at_the_end(world: World) -> None:
    """The bus and the other ECUs go on."""
    ecu, opened = any_tester(), []

    def refuse(sock: isotp.SoftSocket) -> None:
        opened.append(sock)
        if len(opened) > 3:  # the ECU's own one and two of the engine's
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"), Car(world.bus, ecu, engine(), configure=refuse):  # noqa: PT012
        world.bus.inject(CanFrame(0x98DA1045, b"\x02\x3e\x00"))
        world.until(lambda: ecu.failures)
        with world.open() as tester:
            assert asked(tester, "3e 00") == "7e 00"


def test_any_tester_needs_a_bus() -> None:
    with pytest.raises(TypeError, match="'any' is for testers that it does not know: it needs a bus"):
        Car(lambda address: isotp.socket(), any_tester())
