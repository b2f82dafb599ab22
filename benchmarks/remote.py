"""What sharing a link costs: a request and its reply with and without Zenoh, and many links with many clients.

    python benchmarks/remote.py
    python benchmarks/remote.py --links 1000 --clients 50

The bus is a VirtualBus, so the figures are those of the software. The edge is a process of its own; the clients are
threads of another one, each with a session of its own.
"""

import argparse
import asyncio
import multiprocessing
import queue
import resource
import socket
import statistics
import threading
import time
from typing import Any

import isotp
from isotp.remote import Offer, Share
from isotp.remote.sessions import client_config, config_of, open_session


def addresses(number: int) -> tuple[isotp.Address, isotp.Address]:
    tx, rx = 0x18000000 + 2 * number, 0x18000001 + 2 * number
    return isotp.Address.normal(rxid=rx, txid=tx), isotp.Address.normal(rxid=tx, txid=rx)


async def echo(sock: isotp.AsyncSoftSocket) -> None:
    async for message in sock:
        await sock.send(message)


async def edge(endpoint: str, links: int, ready: Any, done: Any) -> None:
    buses = [isotp.VirtualBus() for _ in range(links)]
    session = open_session(config_of({"mode": "router", "listen/endpoints": [endpoint]}))
    ecus, tasks, offers = [], [], []
    for number, bus in enumerate(buses):
        ours, theirs = addresses(number)
        offers.append(Offer(f"bench/link{number}", lambda _, bus=bus: isotp.AsyncSoftSocket(bus), ours))  # type: ignore[misc]
        ecu = isotp.AsyncSoftSocket(bus)
        ecu.bind(theirs)
        ecus.append(ecu)
        tasks.append(asyncio.create_task(echo(ecu)))
    async with Share(session, offers):
        ready.set()
        await asyncio.to_thread(done.wait)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"edge: {kilobytes / 1024:.0f} MB at most")
    for ecu in ecus:
        ecu.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    session.close()


def serve(endpoint: str, links: int, ready: Any, done: Any) -> None:
    asyncio.run(edge(endpoint, links, ready, done))


def exchanges(sock: isotp.IsoTpSocket, size: int, count: int) -> list[float]:
    """Seconds that each request took until its reply."""
    message, times = bytes(i % 251 for i in range(size)), []
    for _ in range(count):
        begin = time.perf_counter()
        sock.send(message)
        assert sock.recv() == message
        times.append(time.perf_counter() - begin)
    return times


def line(what: str, times: list[float]) -> str:
    p99 = sorted(times)[int(len(times) * 0.99)]
    return f"{what:34} median {statistics.median(times) * 1e3:7.2f} ms   99 % {p99 * 1e3:7.2f} ms"


def one_client(endpoint: str, numbers: range, size: int, count: int, results: Any) -> None:
    session = open_session(client_config({"connect/endpoints": [endpoint]}))
    socks = [isotp.RemoteSocket(session, f"bench/link{number}", 60.0) for number in numbers]
    for sock in socks:
        sock.bind()
    results.put(None)
    times = [one for sock in socks for one in exchanges(sock, size, count)]
    for sock in socks:
        sock.close()
    session.close()
    results.put(times)


def without(size: int, count: int) -> list[float]:
    bus = isotp.VirtualBus()
    ours, theirs = addresses(0)
    with isotp.SoftSocket(bus, 30.0) as tester, isotp.SoftSocket(bus, 30.0) as ecu:
        tester.bind(ours)
        ecu.bind(theirs)

        def answer() -> None:
            for _ in range(count):
                ecu.send(ecu.recv())

        thread = threading.Thread(target=answer)
        thread.start()
        times = exchanges(tester, size, count)
        thread.join()
    return times


def many(endpoint: str, links: int, clients: int, size: int, count: int) -> tuple[list[float], float]:
    results: queue.Queue[list[float] | None] = queue.Queue()
    share = links // clients
    ranges = [range(n * share, (n + 1) * share) for n in range(clients)]
    given = [(endpoint, numbers, size, count, results) for numbers in ranges]
    threads = [threading.Thread(target=one_client, args=one) for one in given]
    for thread in threads:
        thread.start()
    times: list[float] = []
    begin, left, bound = time.perf_counter(), clients, 0
    while left:
        got = results.get(timeout=300)
        if got is None:
            bound += 1
            if bound == clients:
                begin = time.perf_counter()
        else:
            times += got
            left -= 1
    taken = time.perf_counter() - begin
    for thread in threads:
        thread.join()
    return times, taken


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--links", type=int, default=1)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--count", type=int, default=0)
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{free.getsockname()[1]}"
    multiprocessing.set_start_method("spawn")
    ready, done = multiprocessing.Event(), multiprocessing.Event()
    process = multiprocessing.Process(target=serve, args=(endpoint, arguments.links, ready, done))
    process.start()
    assert ready.wait(120)
    count = arguments.count or (500 if arguments.clients == 1 else 5)
    for size in (7, 4095) if arguments.clients == 1 else (7, 100):
        if arguments.clients == 1:
            print(line(f"{size} bytes, without Zenoh", without(size, count)))
        times, taken = many(endpoint, arguments.links, arguments.clients, size, count)
        print(line(f"{size} bytes, over Zenoh", times), f"  {len(times) / taken:.0f} a second")
    done.set()
    process.join()


if __name__ == "__main__":
    main()
