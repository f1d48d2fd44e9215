"""`python proxy.py SOCKET [FOLDER]`: bytes between a port on 127.0.0.1 and a socket.

In: with FOLDER TLS, with server.pem and server-key.pem in it, for clients with a certificate of ca.pem. Out: the port on
standard output, then a line for every connection.
"""

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path


async def main(socket: str, context: ssl.SSLContext | None) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print("connection", flush=True)  # noqa: T201
        there, back = await asyncio.open_unix_connection(socket)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def server_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


if __name__ == "__main__":
    given = server_context(Path(sys.argv[2])) if len(sys.argv) > 2 else None
    asyncio.run(main(sys.argv[1], given))
