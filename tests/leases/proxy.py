"""A proxy before a server, which can lose, delay and break off what is said through it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on a Unix socket of its own, or with a TLS context on a loopback port, and passes everything on."""

    def __init__(self, upstream: Path, path: Path, tls: ssl.SSLContext | None = None) -> None:
        self.loses_replies = False
        """Whether what the server says is thrown away. What clients say still arrives."""
        self.loses_requests = False
        """Whether what clients say is thrown away."""
        self.refuses = False
        """Whether a new connection ends at once."""
        self.half_closes = False
        """Whether a new connection is ended towards the client at once, and goes on towards the server."""
        self.delay = 0.0
        """Seconds for which the proxy keeps what the server says."""
        self.port = 0
        self.url = f"unix://{path}"
        self.connections = 0
        self._upstream = upstream
        self._path = path
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._ending = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._tls:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]
        else:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._ending.set()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Breaks every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        if self.half_closes:
            writer.write_eof()
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        try:
            await asyncio.gather(self._hand_up(reader, up_writer), self._hand_down(up_reader, writer))
        finally:
            for end in (writer, up_writer):
                end.close()
                self._writers.discard(end)

    async def _hand_up(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await client.read(65536):
                if not self.loses_requests:
                    server.write(chunk)
                    await server.drain()
        server.close()

    async def _hand_down(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        half_closed = self.half_closes
        with contextlib.suppress(ConnectionError):
            while chunk := await server.read(65536):
                await self._keep_a_while()
                if not (self.loses_replies or half_closed):
                    client.write(chunk)
                    await client.drain()
        client.close()

    async def _keep_a_while(self) -> None:
        """For `delay` seconds, or until the proxy ends."""
        if self.delay:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self.delay)
