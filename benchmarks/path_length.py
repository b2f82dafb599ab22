"""How many Python calls in how many files a short message passes, sent and received, on each path.

python benchmarks/path_length.py            # the engine, on a VirtualBus
python benchmarks/path_length.py vcan0      # the kernel as well
"""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import isotp

PACKAGE = str(Path(isotp.__file__).parent)


class Passed:
    """Counts the calls into the package, in all threads."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            self.calls[code.co_filename[len(PACKAGE) + 1 :], code.co_qualname] += 1

    def __str__(self) -> str:
        files = {name for name, _ in self.calls}
        return f"{self.calls.total()} calls in {len(files)} files"


def blocking(bind: Callable[[Any, int, int], None], make: Callable[[], Any]) -> Passed:
    passed = Passed()
    threading.setprofile(passed)
    with make() as a, make() as b:
        bind(a, 1, 2)
        bind(b, 2, 1)
        a.send(b"x")  # the first one may be special
        b.recv()
        passed.calls.clear()
        sys.setprofile(passed)
        a.send(b"x")
        b.recv()
        sys.setprofile(None)
        counted = Passed()
        counted.calls.update(passed.calls)
    threading.setprofile(None)
    return counted


def with_asyncio(bind: Callable[[Any, int, int], None], make: Callable[[], Any]) -> Passed:
    async def exchange() -> Passed:
        passed = Passed()
        async with make() as a, make() as b:
            bind(a, 1, 2)
            bind(b, 2, 1)
            await a.send(b"x")
            await b.recv()
            sys.setprofile(passed)
            await a.send(b"x")
            await b.recv()
            sys.setprofile(None)
        return passed

    return asyncio.run(exchange())


def main() -> None:
    bus, async_bus = isotp.VirtualBus(), isotp.VirtualBus()

    def on_bus(s: Any, rxid: int, txid: int) -> None:
        s.bind(rxid=rxid, txid=txid)

    print("SoftSocket:", blocking(on_bus, lambda: isotp.SoftSocket(bus, 5)))
    print("AsyncSoftSocket:", with_asyncio(on_bus, lambda: isotp.AsyncSoftSocket(async_bus, 5)))
    for interface in sys.argv[1:]:

        def on_interface(s: Any, rxid: int, txid: int, interface: str = interface) -> None:
            s.bind(interface, rxid=rxid, txid=txid)

        print("isotp.socket:", blocking(on_interface, lambda: isotp.socket(5)))
        print("AsyncSocket:", with_asyncio(on_interface, lambda: isotp.AsyncSocket(5)))


if __name__ == "__main__":
    main()
