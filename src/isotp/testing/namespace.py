"""A network namespace with virtual CAN interfaces, for one test."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import isotp

from ..linux.rtnetlink import add_vcan

REMEDY: Final = "python -m isotp.testing.kernel -- python -m pytest"
INTERFACES: Final = ("vcan0", "vcan1")
_CLONE_NEWNET: Final = 0x40000000


class CannotError(Exception):
    """There can be none; the text says why and what to do."""


def must_be() -> bool:
    """Whether isotp-kernel runs this process: there all that is needed is there."""
    return "ISOTP_KERNEL_RUN" in os.environ


@contextmanager
def private() -> Iterator[str]:
    """Enter a new namespace with this thread, and those it starts; at the end leave it.

    It is entered with the name of the first of `INTERFACES`, which are up.

    Raises:
        CannotError: this kernel or this user cannot do it.
    """
    if sys.platform != "linux":
        raise CannotError(f"there is no kernel with ISO-TP on {sys.platform}")
    try:
        isotp.socket().close()
    except isotp.UnavailableError as e:
        raise CannotError(f"this kernel has no ISO-TP: {e.what}; to do: {REMEDY}") from None
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNET):
            why = os.strerror(ctypes.get_errno())
            raise CannotError(f"only root may make a network namespace ({why}); to do: {REMEDY}")
        try:
            try:
                for name in INTERFACES:
                    add_vcan(name)
            except OSError as e:
                raise CannotError(f"this kernel makes no virtual CAN interface: {e}; to do: {REMEDY}") from None
            yield INTERFACES[0]
        finally:
            if libc.setns(own, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "the thread cannot return to its network namespace")
    finally:
        os.close(own)
