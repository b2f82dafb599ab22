"""TLS: who has to show which certificate."""

import asyncio
import os
from dataclasses import replace
from typing import Any

import pytest

from isotp.gateway import Limits, Permission, Tls, tls_context

from ..waiting import async_until
from .certificates import Certificates
from .testers import ENGINE, FIRST, SECOND, SETUP, TIMERS, Client, Served, in_loop, serving


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def tls_client(served: Served, context: Any) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", served.gateway.tls_port, ssl=context))
    served.clients.append(client)
    return client


def options(certificates: Certificates) -> dict[str, Any]:
    return {"tls": tls_context(certificates.tls), "tls_port": 0}


def test_with_tls_routing_needs_it_and_the_certificate_is_in_the_log(certificates: Certificates) -> None:
    @in_loop
    async def test() -> None:
        async with serving(**options(certificates)) as served:
            plain = await served.connect()
            assert await plain.activate() == 0x07
            assert await plain.is_over()
            client = await tls_client(served, certificates.client("bench7"))
            assert await client.activate() == 0x10
            client.ask("3E 00")
            assert await client.answer() == (ENGINE, 0)
            await served.until_said("is tester 0x0e00: routing is active, type 0x00, certificate of 'bench 7'")

    test()


def test_a_permission_may_be_for_one_certificate(certificates: Certificates) -> None:
    @in_loop
    async def test() -> None:
        permissions = (
            Permission(addresses=range(FIRST, FIRST + 1), certificate="bench 7"),
            Permission(addresses=range(SECOND, SECOND + 1)),
        )
        async with serving(replace(SETUP, testers=permissions), **options(certificates)) as served:
            for name, source, code in (
                ("bench8", FIRST, 0x04),
                ("bench8", SECOND, 0x10),
                ("bench7", FIRST, 0x10),
            ):
                client = await tls_client(served, certificates.client(name))
                assert await client.activate(source) == code

    test()


def test_no_certificate_and_that_of_a_stranger_get_nowhere(certificates: Certificates) -> None:
    @in_loop
    async def test() -> None:
        async with serving(**options(certificates)) as served:

            async def activate(name: str | None) -> int:
                client = await tls_client(served, certificates.client(name))  # TLS 1.3 is told after it
                return await client.activate()

            for name in (None, "stranger"):
                with pytest.raises((OSError, asyncio.IncompleteReadError)):
                    await activate(name)
            await served.until_said("no TLS: ")
            assert len(served.said) == 2
            assert served.nothing_sent

    test()


def test_garbage_and_silence_on_the_port_of_tls(certificates: Certificates) -> None:
    @in_loop
    async def test() -> None:
        timers = TIMERS._replace(initial=0.5)
        async with serving(timers=timers, limits=Limits(waiting=5), **options(certificates)) as served:
            silent = [await asyncio.open_connection("127.0.0.1", served.gateway.tls_port) for _ in range(20)]
            await async_until(lambda: len(served.gateway._clients) <= 5)
            _, writer = await asyncio.open_connection("127.0.0.1", served.gateway.tls_port)
            writer.write(bytes.fromhex("02FD 0005 00000007 0E00 00 00000000"))
            await served.until_said("was cut off in its handshake")
            for reader, _ in silent:
                assert await reader.read() == b""
            await async_until(lambda: not served.gateway._clients)
            for _, each in (*silent, (None, writer)):
                each.close()
            assert served.nothing_sent

    test()


def test_without_tls_where_it_is_allowed(certificates: Certificates) -> None:
    @in_loop
    async def test() -> None:
        async with serving(plain=True, **options(certificates)) as served:
            await served.tester()

    test()


def test_a_file_that_is_not_there_is_named(certificates: Certificates) -> None:
    for tls in (certificates.tls._replace(key="/nowhere.key"), Tls("/nowhere.pem", "/nowhere.key", None)):
        with pytest.raises(OSError, match=f"TLS with .*pem: {os.strerror(2)}"):
            tls_context(tls)
    with pytest.raises(OSError, match=r"TLS with .*gateway\.key: "):
        tls_context(certificates.tls._replace(clients=certificates.tls.key))
