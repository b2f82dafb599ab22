"""A Python that looks like that of macOS or Windows: what they lack is taken away.

It shows that nothing here needs it. It does not show what those systems do.
"""

import errno
import os
import select
import signal
import socket
import sys
import time
from types import ModuleType

# Modules of the library that use these names themselves are imported before the names go.
import asyncio  # isort: skip  # noqa: F401
import concurrent.futures  # noqa: F401
import selectors
import shutil  # noqa: F401
import subprocess  # noqa: F401

_LINUX_ONLY: dict[ModuleType, tuple[str, ...]] = {
    socket: (
        "AF_CAN", "PF_CAN", "AF_NETLINK", "NETLINK_ROUTE", "AF_PACKET", "CAN_ISOTP", "CAN_RAW", "CAN_BCM", "CAN_J1939",
        "SOCK_NONBLOCK", "SOCK_CLOEXEC", "SO_MARK", "SO_DOMAIN", "SO_PROTOCOL", "MSG_ERRQUEUE", "MSG_CMSG_CLOEXEC",
    ),
    select: ("epoll", "EPOLLIN", "EPOLLOUT", "EPOLLERR", "EPOLLET"),
    os: ("eventfd", "eventfd_read", "eventfd_write", "memfd_create", "pidfd_open", "sched_getaffinity", "setns"),
    signal: ("sigtimedwait", "sigwaitinfo", "SIGRTMIN", "SIGPWR", "SIGPOLL"),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI"),
    errno: ("ECOMM",),
}  # fmt: skip
_NOT_ON_WINDOWS: dict[ModuleType, tuple[str, ...]] = {
    socket: ("CMSG_LEN", "CMSG_SPACE", "SCM_RIGHTS", "MSG_DONTWAIT", "MSG_NOSIGNAL", "if_nametoindex"),
    select: ("poll", "POLLIN", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL"),
    os: (
        "fork", "uname", "getuid", "geteuid", "getgid", "setsid", "killpg", "sysconf", "waitid", "readv", "writev",
        "openpty", "forkpty", "pread", "register_at_fork", "getpgid", "tcgetpgrp",
    ),
    signal: (
        "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGQUIT", "SIGTSTP", "SIGCHLD", "SIGWINCH", "SIGKILL",
        "setitimer", "alarm", "pthread_kill", "pthread_sigmask", "siginterrupt", "sigwait", "sigpending", "pause",
    ),
    time: ("clock_gettime", "clock_gettime_ns", "CLOCK_MONOTONIC", "CLOCK_REALTIME", "tzset"),
    errno: ("EBADMSG",),
}  # fmt: skip
_MODULES = {"darwin": ("spwd",), "win32": ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "readline")}


def become(platform: str) -> None:
    """Take away what `platform`, "darwin" or "win32", lacks; call it before anything of isotp is imported."""
    assert not any(name.split(".")[0] == "isotp" for name in sys.modules)
    sys.platform = platform
    selectors.DefaultSelector = selectors.SelectSelector  # type: ignore[misc,assignment]
    for lacking in (_LINUX_ONLY, _NOT_ON_WINDOWS if platform == "win32" else {}):
        for module, names in lacking.items():
            for name in names:
                if hasattr(module, name):
                    delattr(module, name)
    for name in _MODULES[platform]:
        sys.modules[name] = None  # type: ignore[assignment]
