"""The asyncio sockets behind the interface of the blocking ones: each call runs in an event loop of its own thread."""

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any

Factory = Callable[[], asyncio.AbstractEventLoop]


class LoopThread:
    """A loop in a thread; what it has to complain of at the end is an error."""

    def __init__(self, new_loop: Factory = asyncio.new_event_loop) -> None:
        self._loop = new_loop()
        self._complaints: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self._complaints.append(context))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            self._stop = asyncio.Event()
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._stop.wait()

    def run(self, call: Callable[[], Any]) -> Any:
        """Make a call in the loop and wait for what it gives."""

        async def in_loop() -> Any:
            made = call()
            return await made if inspect.isawaitable(made) else made

        return asyncio.run_coroutine_threadsafe(in_loop(), self._loop).result()

    def close(self) -> None:
        left = self.run(lambda: [task for task in asyncio.all_tasks() if not task.done()])
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        assert len(left) == 2, f"tasks left running: {left}"  # the one that serves, and the one that asks
        assert self._complaints == []


class Blocking:
    """An asyncio socket that waits."""

    def __init__(self, loop: LoopThread, sock: Any) -> None:
        self._loop = loop
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        value = self._loop.run(lambda: getattr(self._sock, name))
        if callable(value):
            return lambda *args, **kwargs: self._loop.run(lambda: value(*args, **kwargs))
        return value

    def close(self) -> None:
        async def close() -> None:
            self._sock.close()
            await self._sock.wait_closed()

        self._loop.run(close)

    def __enter__(self) -> "Blocking":
        self._loop.run(self._sock.__aenter__)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.run(lambda: self._sock.__aexit__(*exception))

    def __repr__(self) -> str:
        return repr(self._sock)


def blocking(loop: LoopThread, sock: Any) -> Any:
    """`sock` as a socket that waits, with the name of its class."""
    return type(type(sock).__name__, (Blocking,), {})(loop, sock)
