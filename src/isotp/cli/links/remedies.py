"""What the library advises, in the words of the command line: options in place of Python's names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ...errors import InterfaceError, InterfaceNotFoundError, InvalidCanDataError, IsoTpError, UnavailableError
from .link import Link

# What of Python a remedy speaks of, and what a user of the command line does about it. The first that fits counts.
_REMEDIES: Final = (
    (r"set_ll_opts|can_fd", "leave out --fd, --brs and -L; or make it CAN FD: sudo ip link set {interface} down "
     "mtu 72 up, or a real one: ... dbitrate ... fd on"),
    (r"\brxid\b|\btxid\b", "is the receiver awake? its -d has to be our -s, and its -s our -d; on a real bus check "
     "the wiring and the bit rate"),
    (r"\bstmin\b|\bbs\b", "let the sender send it again; a larger --stmin or a smaller --bs helps a slow node"),
    (r"max_pdu_size\b(?!=)|wftmax", "send less at a time"),
    (r"\bsockets?\b|\bbind\b", None),
)  # fmt: skip


def reworded_warning(text: str) -> str:
    """A warning of the library without options of Python."""
    text = re.sub(r"set LISTEN_MODE here[^;.]*", "only listen: isotp recv --listen", text)
    return text.replace("give the socket a bigger one (rcvbuf=...)", "make it larger: isotp recv --rcvbuf")


@contextmanager
def in_options(link: Link) -> Iterator[None]:
    """Within this block errors advise options of the command line."""
    try:
        yield
    except InvalidCanDataError as e:
        e.remedy = "look at the frames (isotp dump)"
        if link.check_padding is not None:
            e.remedy += "; say with -p how they are padded, or leave out -P"
        raise
    except UnavailableError as e:
        if link.bus is None and not link.soft:
            system = re.sub(r"; or use the engine.*", "", e.remedy or "")
            e.remedy = f"{system}; or use the engine in Python: --soft, or --bus; or a VM: isotp-kernel"
        raise
    except IsoTpError as e:
        remedy = e.remedy or ""
        for pattern, ours in _REMEDIES:
            if re.search(pattern, remedy):
                e.remedy = ours and ours.format(interface=link.interface)
                break
        raise
    except TimeoutError as e:
        look = f"isotp dump {link.interface} shows the frames; " if link.interface else ""
        raise TimeoutError(f"{e}\n  to do: {look}are -s and -d swapped? does -P refuse the padding?") from None


@contextmanager
def in_use() -> Iterator[None]:
    """Within this block a bus is in use: where a program would open it again, a user starts the command again."""
    try:
        yield
    except InterfaceError as e:
        if type(e) in (InterfaceError, InterfaceNotFoundError):  # it failed for good, or was removed
            e.remedy = None
        raise
