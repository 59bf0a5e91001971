"""A proxy before a server, which can lose what the server says."""

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
        self.port = 0
        self.url = f"unix://{path}"
        self.connections = 0
        self._upstream = upstream
        self._path = path
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

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
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Breaks every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
        self._writers |= {writer, up_writer}
        try:
            await asyncio.gather(
                self._pass_on(reader, up_writer, lossy=False), self._pass_on(up_reader, writer, lossy=True)
            )
        finally:
            for end in (writer, up_writer):
                end.close()
                self._writers.discard(end)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lossy: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                if not (lossy and self.loses_replies):
                    writer.write(chunk)
                    await writer.drain()
        writer.close()
