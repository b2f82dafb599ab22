"""Many datagrams in one system call: recvmmsg and sendmmsg, which Python does not have.

The buffers, and what tells the kernel where they are, are made once. With a call of `socket` for each frame,
`SoftSocket` takes 1.3 times as long to send 4095 bytes on a vcan, and 1.6 times to receive them
(benchmarks/soft_kernel.py).
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

_CMSGHDR: Final = struct.Struct("@Nii")  # length with this header, level, type; the next one is aligned
_ALIGN: Final = struct.calcsize("@N")


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("hdr", _MsgHdr), ("length", ctypes.c_uint))


_SIZE: Final = ctypes.sizeof(_MMsgHdr)
_STEP: Final = _SIZE // 4
_FLAGS_AT: Final = _MsgHdr.flags.offset // 4
_LENGTH_AT: Final = _MMsgHdr.length.offset // 4
_CONTROLLEN: Final = struct.Struct("@N")


@cache
def _function(name: str, arguments: int) -> Any:
    function = ctypes.CDLL(None, use_errno=True)[name]
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, *[ctypes.c_void_p] * arguments)
    return function


class _Buffers:
    """Buffers for `count` datagrams of `size` bytes, with `extra` bytes for the address or control data of each."""

    def __init__(self, count: int, size: int, name_size: int = 0, control_size: int = 0) -> None:
        self._kept = [ctypes.create_string_buffer(max(1, count * n)) for n in (size, name_size, control_size)]
        self._iovecs = (_IoVec * count)()
        headers = (_MMsgHdr * count)()
        data, names, controls = map(ctypes.addressof, self._kept)
        for i, (iovec, mmsghdr) in enumerate(zip(self._iovecs, headers, strict=True)):
            header = mmsghdr.hdr
            iovec.base, iovec.length = data + i * size, size
            header.iov, header.iovlen = ctypes.addressof(iovec), 1
            if name_size:
                header.name, header.namelen = names + i * name_size, name_size
            if control_size:
                header.control, header.controllen = controls + i * control_size, control_size
        self.headers = headers
        self.data, self.names, self.controls = (memoryview(buffer).cast("B") for buffer in self._kept)
        self.address = ctypes.addressof(headers)


class Inlet:
    """Receives datagrams from a socket that does not block.

    Args:
        sock: stays the caller's to close.
        count: how many at a time, at most.
        size: bytes of each, at most.
        control_size: bytes of control messages of each, at most.
        name_size: bytes of the sender's address of each.
    """

    def __init__(self, sock: socket.socket, count: int, size: int, control_size: int, name_size: int) -> None:
        self._sock = sock
        self._count, self._size, self._name_size, self._control_size = count, size, name_size, control_size
        self._buffers = _Buffers(count, size, name_size, control_size)
        self._headers = memoryview(self._buffers.headers).cast("B")
        self._header_words = self._headers.cast("I")
        self._fresh = bytes(self._headers)
        self._used = 0  # bytes of the headers that the kernel has changed
        self._call = _function("recvmmsg", 1)

    def receive(self, limit: int) -> int:
        """Receive what has arrived, oldest first, and return how many; they are here until the next call.

        Raises:
            OSError: of the socket; what came before it was received.
        """
        self._headers[: self._used] = self._fresh[: self._used]
        limit = min(limit, self._count)
        count: int = self._call(self._sock.fileno(), self._buffers.address, limit, socket.MSG_DONTWAIT, None)
        self._used = max(1, count) * _SIZE
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            return 0
        raise OSError(number, os.strerror(number))

    def rows(self, layout: struct.Struct, count: int) -> Iterator[tuple[Any, ...]]:
        """The first `count` datagrams, by a layout of `size` bytes."""
        return layout.iter_unpack(self._buffers.data[: count * self._size])

    def flags(self, count: int) -> list[int]:
        """The flags that the kernel gave each of the first `count` datagrams."""
        return self._header_words[_FLAGS_AT : count * _STEP : _STEP].tolist()

    def lengths(self, count: int) -> list[int]:
        """How many bytes each of the first `count` datagrams has."""
        return self._header_words[_LENGTH_AT : count * _STEP : _STEP].tolist()

    def name(self, index: int) -> bytes:
        """The sender's address of a datagram."""
        return bytes(self._buffers.names[index * self._name_size : (index + 1) * self._name_size])

    def control(self, index: int) -> list[tuple[int, int, bytes]]:
        """The control messages of a datagram, as `socket.recvmsg` returns them."""
        (left,) = _CONTROLLEN.unpack_from(self._headers, index * _SIZE + _MsgHdr.controllen.offset)
        at = index * self._control_size
        found = []
        while left >= _CMSGHDR.size:
            length, level, kind = _CMSGHDR.unpack_from(self._buffers.controls, at)
            found.append((level, kind, bytes(self._buffers.controls[at + _CMSGHDR.size : at + length])))
            step = -(-length // _ALIGN) * _ALIGN
            at, left = at + step, left - step
        return found


class Outlet:
    """Sends datagrams of one size on a connected or bound socket that does not block.

    Args:
        sock: stays the caller's to close.
        count: how many at a time, at most.
        size: bytes of each.
    """

    def __init__(self, sock: socket.socket, count: int, size: int) -> None:
        self._sock = sock
        self._count, self.size = count, size
        self._buffers = _Buffers(count, size)
        self._call = _function("sendmmsg", 0)

    def send(self, joined: bytes) -> int:
        """Send datagrams, one after the other in `joined`, and return how many the kernel took.

        Raises:
            OSError: the kernel refused the first one.
        """
        if len(joined) == self.size:  # a tenth less than by sendmmsg
            self._sock.send(joined, socket.MSG_DONTWAIT)
            return 1
        count = min(len(joined) // self.size, self._count)
        self._buffers.data[: count * self.size] = joined[: count * self.size]
        sent: int = self._call(self._sock.fileno(), self._buffers.address, count, socket.MSG_DONTWAIT)
        if sent < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return sent
