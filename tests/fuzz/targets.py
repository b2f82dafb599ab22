"""What is fed with random bytes: each function raises for a fault, and nothing else but what is documented."""

import asyncio
import contextlib
import io
import os
import tempfile
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from isotp.address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from isotp.capture.frames import TIME_MAX_NS
from isotp.capture.readers import UnreadableError, open_recording
from isotp.cli import status
from isotp.cli.links.link import link_of
from isotp.cli.main import main
from isotp.cli.options import values
from isotp.cli.options.addresses import Way
from isotp.cli.output.angle_brackets import Unwrapper, wrap
from isotp.cli.parser import Parser, WrongUsage
from isotp.engine.n_pdu import Malformed, decode
from isotp.errors import UnavailableError
from isotp.gateway import GatewayFileError, load_gateway
from isotp.gateway.codec import read_header
from isotp.gateway.discovery import Discovery
from isotp.remote import wire
from isotp.testing.ecu.car_file import load_car
from isotp.testing.ecu.file_values import CarFileError
from isotp.testing.notation import NotationError, format_frame, format_n_pdu, parse

from ..gateway.testers import TIMERS, serving

_LONGEST: Final = 200
_FRAME_MAX: Final = 64
_VALUES: Final = (
    values.can_id, values.base, values.any_base, values.byte, values.number(0, 99), values.id_range, values.byte_range,
    values.address_bytes, values.any_address_bytes, values.padding, values.target_and_source, values.where,
    values.link_layer, values.time_ns, values.tx_stmin, values.seconds, values.stmin, values.hex_data, values.size,
)  # fmt: skip
_MEMORY: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None


@contextlib.contextmanager
def _file(data: bytes, suffix: str = "") -> Iterator[str]:
    with tempfile.NamedTemporaryFile(dir=_MEMORY, suffix=suffix) as file:
        file.write(data)
        file.flush()
        yield file.name


def n_pdu(data: bytes) -> None:
    """An N_PDU, the first byte says how many address bytes it has."""
    size, frame = data[:1] == b"\1", data[1 : 1 + _FRAME_MAX]
    found = decode(frame, int(size))
    if not isinstance(found, Malformed):
        address = frame[:size]
        assert parse(format_n_pdu(frame, int(size))).encode(address) == frame


def recording(data: bytes) -> None:
    """A recording of any kind."""
    with _file(data) as name, contextlib.suppress(UnreadableError, UnavailableError):
        reader = open_recording(name)
        try:
            for frames in reader.batches():
                for time_ns, channel, can_id, payload, is_fd in frames:
                    number = can_id & ~CAN_EFF_FLAG
                    assert 0 <= time_ns <= TIME_MAX_NS, time_ns
                    assert 0 <= number <= (CAN_EFF_MASK if can_id & CAN_EFF_FLAG else CAN_SFF_MASK), hex(can_id)
                    assert len(payload) <= _FRAME_MAX, payload
                    assert type(channel) is str
                    assert type(payload) is bytes
                    assert type(is_fd) is bool
        finally:
            reader.close()


def dump(data: bytes) -> None:
    """What the command line makes of it, in each form."""
    with _file(data) as name:
        for command in (["dump"], ["dump", "-ma", "-tA"], ["dump", "-m", "--json", "-x", "any"], ["check", "--json"]):
            ended, out, err = _run([*command, name])
            assert ended in (status.DONE, status.FAILED, status.AGAINST_STANDARD), (ended, err)
            assert all(line.isprintable() for text in (out, err) for line in text.split("\n"))


def _run(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = main(words)
    return ended, out.getvalue(), err.getvalue()


def notation(data: bytes) -> None:
    """A frame as text."""
    try:
        text = parse(_text(data))
        frame = text.frame(0x7E0)
    except NotationError:
        return
    size = 0 if text.address_byte is None else 1
    is_n_pdu = not isinstance(decode(frame.data, size), Malformed)  # a first frame may be shorter than any can be
    assert text.matches(frame, size) or not is_n_pdu
    if len(frame.data) <= _FRAME_MAX:
        assert parse(format_frame(frame, size)).frame() == frame


def brackets(data: bytes) -> None:
    """The protocol of isotpserver."""
    whole = Unwrapper(_LONGEST).feed(data)
    pieces, unwrapper = [], Unwrapper(_LONGEST)
    for at in range(0, len(data), 3):
        pieces += unwrapper.feed(data[at : at + 3])
    assert pieces == whole
    for message in whole:
        if isinstance(message, bytes):
            assert 1 <= len(message) <= _LONGEST
            assert Unwrapper(_LONGEST).feed(wrap(message)) == [message]
        else:
            assert message.isprintable()


def option_values(data: bytes) -> None:
    """What an option of the command line takes."""
    text = _text(data)
    for read in _VALUES:
        with contextlib.suppress(ArgumentTypeError):
            read(text)


def command_line(data: bytes) -> None:
    """The words of a command, up to the address that they make."""
    name, *words = _text(data).split() or [""]
    if name not in ("send", "recv", "serve"):
        return
    module = import_module(f"isotp.cli.commands.{name}")
    parser = Parser(name, module.USAGE, module.DESCRIPTION, module.EXAMPLES)
    module.add_arguments(parser)
    with contextlib.suppress(WrongUsage, SystemExit), contextlib.redirect_stdout(io.StringIO()):
        link = link_of(parser.parse_intermixed_args(words), "vcan0", Way.BOTH)
        link.check()
        assert link.address.tx is not None
        assert link.address.rx is not None


def car_file(data: bytes) -> None:
    """ECUs described in TOML, and in YAML."""
    for suffix in (".toml", ".yaml"):
        with _file(data, suffix) as name, contextlib.suppress(CarFileError, UnavailableError):
            load_car(name)


def gateway_file(data: bytes) -> None:
    """What a gateway serves."""
    with _file(data, ".toml") as name, contextlib.suppress(GatewayFileError):
        load_gateway(name)


def doip(data: bytes) -> None:
    """What testers send to a gateway, over UDP and TCP."""
    asyncio.run(_doip(data))


async def _doip(data: bytes) -> None:
    replies: list[bytes] = []
    async with serving(timers=TIMERS._replace(response=0.0)) as served:
        gateway = served.gateway
        discovery = Discovery(gateway.setup.vehicle, gateway.limits, gateway.timers, int, served.said.append)
        discovery._transport = Namespace(sendto=lambda reply, place: replies.append(reply))
        discovery.datagram_received(data, ("127.0.0.1", 1))
        assert all(read_header(reply) for reply in replies)
        client = await served.connect()
        client.writer.write(data)
        client.writer.write_eof()
        assert await client.is_over()


def shared(data: bytes) -> None:
    """What a client asks of an edge, and the errors that an edge answers with."""
    try:
        header = wire.unpack(data)
        assert str(wire.to_error(header, "a link"))
        address = wire.to_address(header.get("address"))
    except ValueError:  # an AddressError is one
        return
    assert wire.to_address(wire.of_address(address)) == address


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each
    for each in (
        n_pdu,
        recording,
        dump,
        notation,
        brackets,
        option_values,
        command_line,
        car_file,
        gateway_file,
        doip,
        shared,
    )
}
CORPUS: Final = Path(__file__).parent / "corpus"
_SHARED: Final = {"dump": "recording"}


def corpus(target: str) -> list[Path]:
    """The inputs of a target."""
    return sorted(path for path in (CORPUS / _SHARED.get(target, target)).iterdir())
