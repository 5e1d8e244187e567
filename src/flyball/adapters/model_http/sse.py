"""Server-sent events out of bytes as they arrive (WHATWG HTML, section 9.2): the data of each, no more. No I/O.

>>> events = Events()
>>> events.feed(b": hello\\ndata: {\\ndata: }\\n\\nda"), events.feed(b"ta: 2\\r\\n\\r"), events.feed(b"\\n")
([b'{\\n}'], [], [b'2'])
"""

from __future__ import annotations

import re
from typing import Final

_LINE: Final = re.compile(rb"\r\n|\n|\r")


class Events:
    """What has arrived of a stream. What is not closed by an empty line is no event."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that this chunk completes."""
        self._held.append(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            return []  # looked at once: a long line costs no more than its length
        text = b"".join(self._held)
        # What ends with \r may go on with \n.
        kept = text[-1:] if text.endswith(b"\r") else b""
        *lines, rest = _LINE.split(text[: len(text) - len(kept)])
        self._held = [rest + kept]
        return [data for line in lines if (data := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return None
