"""Uncompress a kernel image here: an emulated CPU takes seconds for it."""

from __future__ import annotations

import lzma
import struct
import subprocess
from pathlib import Path

XZ, ZSTD = b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
# The ELF note with the address at which QEMU may enter a kernel directly (PVH), 32 or 64 bits.
PVH_NOTES = [struct.pack("<III4s", 4, size, 18, b"Xen\0") for size in (4, 8)]


def uncompressed(image: bytes, zstd: Path) -> bytes | None:
    """The ELF file inside an x86 bzImage; None: keep the image as it is."""
    if image[0x202:0x206] != b"HdrS":
        return None
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)  # payload_offset, payload_length
    begin = (setup_sectors + 1) * 512 + offset
    payload = image[begin : begin + length]
    elf = b""
    if payload.startswith(XZ):
        elf = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    elif payload.startswith(ZSTD):
        # After the stream comes a size, at which zstd fails when all is uncompressed.
        elf = subprocess.run([zstd, "-dc"], input=payload, capture_output=True, check=False).stdout
    if elf.startswith(b"\x7fELF") and any(note in elf for note in PVH_NOTES):
        return elf
    return None
