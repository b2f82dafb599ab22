"""Prints the VIN of each vehicle in a recording of a CAN bus, and the ECU that sent it; needs only isotp.

    python examples/vins_of_a_recording.py                  a small recording that is made for it
    python examples/vins_of_a_recording.py drive.blf        yours: candump, pcap, asc, blf, trc, csv, plain or gzip

A VIN is read by UDS (ReadDataByIdentifier F190) or by OBD (service 09, 02). No identifiers are needed: the links are
found by their traffic.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import isotp

MARKS = (b"\x62\xf1\x90", b"\x49\x02\x01")  # how the responses begin: of UDS, and of OBD
VIN_LENGTH = 17

RECORDING = """\
(1700000000.000000) can0 7DF#0209020000000000
(1700000000.010000) can0 7E8#1014490201575657
(1700000000.011000) can0 7E0#3000000000000000
(1700000000.012000) can0 7E8#215A5A5A314A5A58
(1700000000.013000) can0 7E8#2257303030303031
(1700000000.050000) can0 6A1#0322F19055555555
(1700000000.060000) can0 6A9#101462F190575657
(1700000000.061000) can0 6A1#3000055555555555
(1700000000.066000) can0 6A9#215A5A5A314A5A58
(1700000000.072000) can0 6A9#2257303030303031
(1700000000.100000) can0 123#0011223344556677
(1700000001.050000) can1 6A1#0322F19055555555
(1700000001.060000) can1 6A9#101462F190544553
(1700000001.061000) can1 6A1#3000055555555555
"""


def vins(path: Path | str) -> Iterator[tuple[str, str, str]]:
    """Channel, ECU and VIN of each response that has one."""
    capture = isotp.capture.Capture(path)
    for message in capture:
        if message.data.startswith(MARKS) and message.error is None:
            vin = message.data[3:].strip(b"\0").decode("ascii", "replace")
            if len(vin) == VIN_LENGTH:
                yield message.channel, str(message.source), vin
        elif message.error is not None:
            print(f"{message.channel} {message.source}: {message.error.what}")
    print(f"{capture.frames} frames, {capture.not_shown} of other traffic, {capture.skipped} lines were no frames")


def main(path: Path | str) -> None:
    """Print each VIN once for each ECU."""
    for channel, ecu, vin in dict.fromkeys(vins(path)):
        print(f"{channel} {ecu}: {vin}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder) / "recording"
            recording.write_text(RECORDING)
            main(recording)
