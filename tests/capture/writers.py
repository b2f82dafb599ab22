"""Writes frames in each format, from what their vendors document."""

import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

from isotp.address import CAN_EFF_FLAG
from isotp.capture.frames import Frame

EFF_MASK = 0x1FFFFFFF


def sample(count: int = 200, seed: int = 1, fd: bool = False, begin: int = 1_700_000_000) -> list[Frame]:
    """Frames of both widths and all lengths, a microsecond or more apart, on two channels."""
    chance = random.Random(seed)
    now = begin * 1_000_000_000
    frames = []
    for _ in range(count):
        now += chance.randrange(1, 20_000) * 100_000
        can_id = chance.choice([chance.randrange(0x800), chance.randrange(0x20000000) | CAN_EFF_FLAG])
        is_fd = fd and chance.random() < 0.5
        length = chance.choice([12, 16, 20, 24, 32, 48, 64]) if is_fd else chance.randrange(9)
        frames.append((now, str(chance.randrange(2)), can_id, chance.randbytes(length), is_fd))
    return frames


def since(frame: Frame, frames: list[Frame]) -> int:
    return frame[0] - frames[0][0]


def id_text(can_id: int) -> str:
    return f"{can_id & EFF_MASK:08X}" if can_id & CAN_EFF_FLAG else f"{can_id:03X}"


def candump_log(frames: list[Frame], suffix: str = "") -> str:
    lines = []
    for time_ns, channel, can_id, data, is_fd in frames:
        stamp = f"{time_ns // 10**9}.{time_ns % 10**9 // 1000:06d}"
        lines.append(f"({stamp}) can{channel} {id_text(can_id)}{'##1' if is_fd else '#'}{data.hex().upper()}{suffix}")
    return "\n".join(lines) + "\n"


def candump_screen(frames: list[Frame], style: str = "", extra: bool = False, ascii_too: bool = False) -> str:
    """As candump prints it with -ta, -tz, -td, -tA (`style`), -x and -a."""
    lines = []
    last = frames[0][0]
    for frame in frames:
        time_ns, channel, can_id, data, is_fd = frame
        stamp = ""
        if style == "A":
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ns // 10**9))
            stamp = f" ({date}.{time_ns % 10**9 // 1000:06d})"
        elif style:
            shown = {"a": time_ns, "z": since(frame, frames), "d": time_ns - last}[style]
            stamp = f" ({shown // 10**9:03d}.{shown % 10**9 // 1000:06d})"
        last = time_ns
        length = f"[{len(data):02d}]" if is_fd else f" [{len(data)}]"
        line = (
            f"{stamp}  can{channel}  {'RX - -  ' if extra else ''}{id_text(can_id)}  {length}  {data.hex(' ').upper()}"
        )
        if ascii_too:
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
            line = f"{line:<60}   '{text}'"
        lines.append(line.rstrip() if not data and not ascii_too else line)
    return "\n".join(lines) + "\n"


def gvret(frames: list[Frame]) -> str:
    lines = ["Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8"]
    for frame in frames:
        _, channel, can_id, data, _ = frame
        extended = "true" if can_id & CAN_EFF_FLAG else "false"
        row = f"{since(frame, frames) // 1000},{can_id & EFF_MASK:08X},{extended},Rx,{channel},{len(data)},"
        lines.append(row + "".join(f"{byte:02X}," for byte in data))
    return "\r\n".join(lines) + "\r\n"


def busmaster(frames: list[Frame]) -> str:
    lines = ["***BUSMASTER Ver 3.2.2***", "***PROTOCOL CAN***", "***NOTE: PLEASE DO NOT EDIT THIS DOCUMENT***"]
    lines += ["***[START LOGGING SESSION]***", "***START DATE AND TIME 14:11:2023 22:13:20:000***", "***HEX***"]
    lines += ["***ABSOLUTE MODE***", "***<Time><Tx/Rx><Channel><CAN ID><Type><DLC><DataBytes>***"]
    for frame in frames:
        _, channel, can_id, data, _ = frame
        ticks = since(frame, frames) // 100_000
        seconds, fraction = divmod(ticks, 10_000)
        stamp = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{fraction:04d}"
        kind = "x" if can_id & CAN_EFF_FLAG else "s"
        lines.append(f"{stamp} Rx {channel} 0x{can_id & EFF_MASK:03X} {kind} {len(data)} {data.hex(' ').upper()} ")
    lines += ["***END DATE AND TIME 14:11:2023 22:14:20:000***", "***[STOP LOGGING SESSION]***"]
    return "\r\n".join(lines) + "\r\n"


def trc(version: str) -> Callable[[list[Frame]], str]:
    """PEAK's versions; times have a microsecond's tenth at most, 1.0 whole milliseconds."""

    def write(frames: list[Frame]) -> str:
        lines = [] if version == "1.0" else [f";$FILEVERSION={version}", ";$STARTTIME=0"]
        if version[0] == "2":
            lines.append(f";$COLUMNS=N,O,T,{'B,I,d,R,L' if version == '2.1' else 'I,d,l'},D")
        lines += [";", ";   C:\\trace.trc", ";---+--   ----+----  --+--  ----+---  +  -+ -- -- -- -- -- -- --"]
        for number, frame in enumerate(frames, 1):
            _, channel, can_id, data, is_fd = frame
            ms = since(frame, frames) / 1e6
            id_ = f"{can_id & EFF_MASK:08X}" if can_id & CAN_EFF_FLAG else f"{can_id:04X}"
            raw = data.hex(" ").upper()
            kind = "FD" if is_fd else "DT"
            lines.append(
                {
                    "1.0": f"{number:6})  {ms:9.0f}  {id_}  {len(data)}  {raw} ",
                    "1.1": f"{number:6})  {ms:9.1f}  Rx     {id_}  {len(data)}  {raw} ",
                    "1.2": f"{number:6})  {ms:9.3f} {channel}  Rx     {id_}  {len(data)}  {raw} ",
                    "1.3": f"{number:6})  {ms:9.3f} {channel}  Rx     {id_} -  {len(data)}    {raw} ",
                    "2.0": f"{number:7}  {ms:9.3f} {kind}  {id_} Rx {len(data)}    {raw} ",
                    "2.1": f"{number:7}  {ms:9.3f} {kind} {channel}  {id_} Rx -  {len(data)}    {raw} ",
                }[version]
            )
        return "\r\n".join(lines) + "\r\n"

    return write


def socketcan(frame: Frame, order: str = ">", is_short: bool = False) -> bytes:
    """The frame as link type 227 has it; `is_short` as Wireshark saves it, without padding."""
    _, _, can_id, data, is_fd = frame
    body = data if is_short or is_fd else data.ljust(8, b"\0")
    return struct.pack(f"{order}IBBBB", can_id, len(data), 4 if is_fd else 0, 0, 0) + body


def packet(frame: Frame, link_type: int, order: str | None = None, is_short: bool = False) -> bytes:
    """`order` is that of identifiers: big-endian by 227, that of the machine in cooked packets."""
    order = order or (">" if link_type == 227 else "<")
    protocol = 0x000D if frame[4] else 0x000C
    if link_type == 113:
        return struct.pack(">HHH8sH", 1, 280, 0, bytes(8), protocol) + socketcan(frame, order, is_short)
    if link_type == 276:
        return struct.pack(">HHIHBB8s", protocol, 0, 3, 280, 1, 0, bytes(8)) + socketcan(frame, order, is_short)
    return socketcan(frame, order, is_short)


def pcap(
    frames: list[Frame],
    order: str = "<",
    nanoseconds: bool = False,
    link_type: int = 227,
    id_order: str | None = None,
    is_short: bool = False,
) -> bytes:
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 0xFFFF, link_type)
    for frame in frames:
        raw = packet(frame, link_type, id_order, is_short)
        fraction = frame[0] % 10**9 // (1 if nanoseconds else 1000)
        out += struct.pack(f"{order}IIII", frame[0] // 10**9, fraction, len(raw), len(raw)) + raw
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    body = body.ljust(len(body) + 3 & ~3, b"\0")
    return struct.pack(f"{order}II", kind, len(body) + 12) + body + struct.pack(f"{order}I", len(body) + 12)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value.ljust(len(value) + 3 & ~3, b"\0")


def pcapng(frames: list[Frame], order: str = "<", resolution: int | None = None, link_type: int = 227) -> bytes:
    out = block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    for name in ("can0", "can1"):
        options = option(order, 2, name.encode())
        if resolution is not None:
            options += option(order, 9, bytes((resolution,)))
        out += block(order, 1, struct.pack(f"{order}HHI", link_type, 0, 0) + options + option(order, 0, b""))
    for frame in frames:
        ticks = frame[0] // 1000 if resolution is None else frame[0] * 10**resolution // 10**9
        raw = packet(frame, link_type)
        head = struct.pack(f"{order}IIIII", int(frame[1]), ticks >> 32, ticks & 0xFFFFFFFF, len(raw), len(raw))
        out += block(order, 6, head + raw) + block(order, 5, bytes(12))  # statistics, to be passed over
    return out


def python_can(frames: list[Frame], path: Path) -> None:
    """By python-can, in the format that the name says."""
    import can

    with can.Logger(str(path)) as log:
        for time_ns, channel, can_id, data, is_fd in frames:
            log(
                can.Message(
                    timestamp=time_ns / 1e9,
                    arbitration_id=can_id & EFF_MASK,
                    is_extended_id=bool(can_id & CAN_EFF_FLAG),
                    data=data,
                    is_fd=is_fd,
                    channel=int(channel),
                )
            )
