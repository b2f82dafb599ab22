"""A user's program that has every public name: type checkers read it (`test_types.py`), and nothing runs it."""

from collections.abc import Awaitable, Iterator
from typing import Any, assert_type

import isotp
from isotp import bus, capture, compat, engine, gateway, opts, remote, testing

FAILURES: tuple[type[isotp.TransferError], ...] = (
    isotp.BufferOverflowError, isotp.ConsecutiveFrameTimeoutError, isotp.FlowControlTimeoutError,
    isotp.InvalidCanDataError, isotp.ReceptionInterruptedError, isotp.TransferAbortedError,
    isotp.TransmitTimeoutError, isotp.WrongSequenceNumberError,
    isotp.MaximumWaitFrameReachedError, isotp.UnknownOutcomeError,
)  # fmt: skip
INTERFACES: tuple[type[isotp.InterfaceError], ...] = (
    isotp.InterfaceDownError, isotp.InterfaceNotFoundError, isotp.NotACanInterfaceError, isotp.TransmitQueueFullError,
)  # fmt: skip
OTHERS: tuple[type[isotp.IsoTpError], ...] = (
    isotp.AddressError, isotp.AlreadyBoundError, isotp.BusyError, isotp.MessageSizeError, isotp.NotBoundError,
    isotp.ForbiddenError, isotp.OneWayError, isotp.OptionError, isotp.ReceiveBufferTooSmallError,
    isotp.SocketClosedError,
    isotp.UnavailableError, isotp.FrameIgnoredError, testing.CarFileError, testing.NothingDueError,
)  # fmt: skip
OF_CAN_ISOTP: tuple[type[isotp.IsoTpError], ...] = (
    isotp.BadGeneratorError, isotp.BlockingSendFailure, isotp.BlockingSendTimeout, isotp.ChangingInvalidRXDLError,
    isotp.FrameTooLongError, isotp.InvalidCanFdFirstFrameRXDL, isotp.MissingEscapeSequenceError, isotp.OverflowError,
    isotp.ReceptionInterruptedWithFirstFrameError, isotp.ReceptionInterruptedWithSingleFrameError,
    isotp.UnexpectedConsecutiveFrameError, isotp.UnexpectedFlowControlError, isotp.UnsupportedWaitFrameError,
)  # fmt: skip
WARNINGS: tuple[type[isotp.IsoTpWarning], ...] = (
    isotp.DuplicateBindingWarning, isotp.MessagesDroppedWarning, isotp.OptionIgnoredWarning,
    isotp.UnconfirmedSendWarning,
)  # fmt: skip
FLAGS: int = isotp.CAN_EFF_FLAG | isotp.MSG_DONTWAIT | isotp.MSG_PEEK | isotp.MSG_TRUNC
MODULES = (isotp.address, isotp.can_message, isotp.errors, isotp.protocol, isotp.tools, isotp.tpsock)


def blocking(s: isotp.IsoTpSocket, others: list[isotp.IsoTpSocket]) -> isotp.ReceivedMessage:
    s.set_fc_opts(bs=8, stmin=isotp.STmin.from_ms(5))
    s.send(b"\x22\xf1\x90")
    assert_type(s.recv(), bytes)
    replies = isotp.functional_request(s, others, b"\x3e\x00")
    assert_type(replies, list[isotp.Reply])
    message = s.recv_message()
    assert_type(message.timestamp_ns, int)
    return message


async def tasks(s: isotp.AsyncIsoTpSocket) -> None:
    await s.send(b"\x3e\x00")
    assert_type(await s.recv(), bytes)
    assert_type(await isotp.async_functional_request(s, [s], b"\x3e\x00"), list[isotp.Reply])


def sockets(any_bus: bus.Bus, adapter: Any) -> Iterator[isotp.IsoTpSocket]:
    kernel = isotp.socket(timeout=1.0)
    kernel.bind("can0", isotp.Address.normal(rxid=0x7E8, txid=0x7E0))
    yield kernel
    yield isotp.SoftSocket(any_bus, timeout=None)
    yield isotp.SoftSocket(isotp.SocketCanBus("can0"))
    yield isotp.RemoteSocket(None, "garage/car7/engine", timeout=1.0)
    yield testing.SimulatedSocket(isotp.VirtualBus(clock=testing.FakeClock()))
    yield from (isotp.SoftSocket(one) for one in (isotp.PythonCanBus(adapter), bus.VirtualBus()))


def async_sockets() -> tuple[isotp.AsyncIsoTpSocket, ...]:
    return isotp.AsyncSocket(timeout=1.0), isotp.AsyncSoftSocket(isotp.VirtualBus())


def addresses(one: isotp.Address, two: isotp.Address) -> isotp.AsymmetricAddress:
    kinds: tuple[object, ...] = (isotp.AddressingMode.Normal_11bits, isotp.TargetAddressType.Functional)
    print(kinds, isotp.N_Result.N_OK.name, isotp.doctor())
    return isotp.AsymmetricAddress(tx_addr=one, rx_addr=two)


def options(fields: opts.GeneralFields) -> None:
    s = isotp.socket()
    s.set_general_opts(opts.flags.WAIT_TX_DONE, **fields)
    s.set_ll_opts(mtu=opts.LinkLayerProtocol.CAN_FD, tx_dl=64, tx_flags=opts.CANFD_BRS | opts.CANFD_ESI)
    assert_type(opts.general.read(s.native), opts.GeneralOptions)
    assert_type(opts.flowcontrol.read(s.native), opts.FlowControlOptions)
    assert_type(opts.linklayer.read(s.native), opts.LinkLayerOptions)
    assert_type(opts.kernel_honours(opts.flags.WAIT_TX_DONE), bool | None)


def protocol(one: engine.Engine, now: int) -> engine.NPdu | engine.Malformed:
    engine.Params(stmin=5, n_bs_ns=150_000_000)
    frames: list[engine.CanFrame] = one.frames_to_send(now)
    event: engine.Event | None = one.next_event()
    match event:
        case engine.MessageReceived(data):
            assert_type(data, bytes)
        case engine.FrameIgnored(_, why, _):
            assert_type(why, engine.IgnoreReason)
        case engine.TransferFailed() as failed:
            assert_type(failed.direction, engine.Direction)
            assert_type(failed.phase, engine.SenderState | engine.ReceiverState)
        case engine.MessageSent() | engine.FirstFrameReceived() | engine.Progress() | None:
            pass
    n_pdu = engine.decode(frames[0].data)
    match n_pdu:
        case engine.SingleFrame() | engine.FirstFrame() | engine.ConsecutiveFrame():
            assert_type(n_pdu.data, bytes)
        case engine.FlowControl(status, _, _):
            print(engine.FlowStatus(status))
        case engine.Malformed(kind):
            assert_type(kind, engine.NPciType | None)
    return n_pdu


def recordings(path: str, source: capture.FrameSource, fault: capture.Fault) -> list[capture.Finding]:
    found: list[capture.Message] = list(capture.messages(path))
    rate = capture.guess_bit_rate(found) or 500_000
    spent: capture.TimeSpent = capture.time_spent(found[0], rate)
    seen: list[capture.FlowControlSeen] = list(found[0].flow_controls)
    parts: tuple[type, ...] = (capture.Stream, capture.Timing, capture.LinkFrame, capture.LinkVerdict)
    frames: list[capture.Frame | None] = list(capture.frames_of([]))
    batches: capture.Frames = []
    print(capture.Capture(source), capture.open_recording(path), capture.Verdicts(rate), capture.UnreadableError)
    print(spent.on_bus_ns, seen, parts, frames, batches, fault.reason, bus.Received([], []))
    return capture.check(found[0])


def ecus(rules: testing.Rules, request: testing.Request, exchange: testing.Exchange) -> testing.Car:
    ecu = testing.Ecu("engine", rxid=0x7E0, txid=0x7E8)
    parts = (testing.Did(b"VIN"), testing.Download(), testing.Routine(), testing.Security(key=b"\x01"))
    answers = (testing.in_turn(b"\x7e\x00", testing.Reply(b"\x7e\x00", after_s=0.1)), testing.dtc_number("P0420"))
    print(parts, answers, rules, request.data, exchange.replies, testing.Nrc(0x31), testing.Refused(0x31))
    one = isotp.VirtualBus(fate=isotp.Faults(loss=0.1))
    print(testing.AsyncCar(one, ecu))
    with testing.bus_down(one), testing.bus_gone(one), testing.bus_off(one):
        print(
            testing.Frames(one), testing.Wire("vcan0", one, testing.Faults()), testing.AsyncCar(one, ecu), testing.Link
        )
    return testing.Car(one, *testing.load_car("car.toml"))


def of_can_isotp(adapter: Any, address: isotp.Address) -> tuple[compat.TransportLayerLogic, ...]:
    stack = isotp.CanStack(adapter, address=address, params={"stmin": 5})
    stack.send(b"\x22\xf1\x90")
    message: isotp.CanMessage | None = None
    layers = (isotp.TransportLayer, isotp.TransportLayerLogic, isotp.NotifierBasedCanStack)
    print(layers, compat.CanStack, compat.NotifierBasedCanStack, compat.TransportLayer, compat.CanMessage, message)
    return (stack,)


def more(one: bus.CanFrame, sockets: tuple[type[bus.SocketCanBus], type[bus.PythonCanBus]]) -> Awaitable[None]:
    print(one.can_id, sockets)
    return tasks(async_sockets()[0])


async def doip(setup: gateway.Setup) -> None:
    ecu = gateway.Target(1, isotp.Address.normal(rxid=0x7E8, txid=0x7E0))
    everyone = gateway.FunctionalTarget(0xE000, isotp.Address.normal(txid=0x7DF, functional=True), (1,))
    tls = gateway.Tls("gateway.pem", "gateway.key", None)
    tester = gateway.Permission(addresses=range(0x0E00, 0x0E80))
    own = gateway.Setup(gateway.Vehicle(address=0x1000), (ecu,), (tester,), (everyone,), tls)
    try:
        setup = gateway.load_gateway("gateway.toml")
    except gateway.GatewayFileError:
        setup = own
    limits, timers = gateway.Limits(clients=4), gateway.Timers(initial=5.0)
    async with gateway.Gateway(setup, "can0", tls=gateway.tls_context(tls), limits=limits, timers=timers) as one:
        assert_type(one.port, int)


async def shared(session: Any, sock: isotp.AsyncSocket) -> isotp.AsyncIsoTpSocket:
    address = isotp.Address.normal(rxid=0x7E8, txid=0x7E0)
    offer = remote.Offer("garage/car7/engine", lambda watch_begin: sock, address, "can0", options=("bs",))
    async with remote.Share(session, [offer], remote.Access([remote.Client("alice", deny=("2E", "34-37"))])) as share:
        assert_type(share.holders(), dict[str, str])
    found: list[remote.Found] = remote.find(session, "garage/**")
    return isotp.AsyncRemoteSocket(session, found[0].link, name="alice")
