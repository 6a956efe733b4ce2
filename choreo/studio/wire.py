"""Messages between the server and its workers: a JSON object and bytes, each with its length."""

import asyncio
import json
import select
import socket
import struct
from typing import Any

HEAD = struct.Struct("!II")
MOST = 2**27  # bytes of either part [ours]

Message = dict[str, Any]


def pack(message: Message, data: bytes = b"") -> bytes:
    """One message as bytes; raises ValueError for NaN, which JSON has not."""
    text = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    return HEAD.pack(len(text), len(data)) + text + data


async def read(reader: asyncio.StreamReader) -> tuple[Message, bytes]:
    """The next message; raises IncompleteReadError or OSError when the other side is gone."""
    text, data = HEAD.unpack(await reader.readexactly(HEAD.size))
    if max(text, data) > MOST:
        raise OSError("a message is longer than any that is meant")
    return json.loads(await reader.readexactly(text)), await reader.readexactly(data)


class Line:
    """The blocking end of the socket, in a worker."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._file = end.makefile("rb", buffering=0)

    def send(self, message: Message, data: bytes = b"") -> None:
        """Send one message; raises OSError when the server is gone."""
        self._end.sendall(pack(message, data))

    def waits(self, seconds: float = 0.0) -> bool:
        """Whether a message comes within some seconds."""
        return bool(select.select([self._end], [], [], max(0.0, seconds))[0])

    def receive(self) -> tuple[Message, bytes]:
        """The next message; raises EOFError when the server is gone."""
        text, data = HEAD.unpack(self._exactly(HEAD.size))
        return json.loads(self._exactly(text)), self._exactly(data)

    def _exactly(self, count: int) -> bytes:
        parts, left = [], count
        while left:
            part = self._file.read(left)
            if not part:
                raise EOFError("the server is gone")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
