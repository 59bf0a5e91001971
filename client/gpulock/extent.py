"""How far a MessagePack value reaches, found out piece by piece and without decoding it.

Decoding a frame anew each time a few more bytes of it come costs time in the square of its length, and a
decoder that is kept half-way may hold thousands of times what it was fed: an array announces its size before
it has one. This counts values instead. Each byte is looked at once, and what is kept are two numbers.
"""

from __future__ import annotations

# Tags that stand alone with a known number of bytes behind them: floats, integers, fixext (type and data).
_FIXED = dict(zip(range(0xCA, 0xD9), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17), strict=True))
# Tags followed by a length of so many bytes: a length in bytes (bin, ext, str), or in values (array, map).
_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_VALUES = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_EXT = (0xC7, 0xC8, 0xC9)
_MAP = (0xDE, 0xDF)


class Extent:
    """Follows one value through a growing buffer that begins with it."""

    __slots__ = ("_at", "_values")

    def __init__(self) -> None:
        self._at = 0
        self._values = 1

    @property
    def least(self) -> int:
        """Bytes that the value has at least, going by what was announced so far."""
        return self._at + self._values

    def ends_in(self, data: bytes | bytearray) -> bool:
        """Whether the whole value is in `data`, which holds everything given before and more."""
        at, values, size = self._at, self._values, len(data)
        while values and at < size:
            tag = data[at]
            body, inner = 0, 0
            if tag <= 0x7F or tag >= 0xE0:
                pass  # a small integer
            elif tag <= 0x8F:
                inner = 2 * (tag & 0x0F)
            elif tag <= 0x9F:
                inner = tag & 0x0F
            elif tag <= 0xBF:
                body = tag & 0x1F
            elif tag in _FIXED:
                body = _FIXED[tag]
            elif width := _BYTES.get(tag) or _VALUES.get(tag):
                head = data[at + 1 : at + 1 + width]
                if len(head) < width:
                    break
                count = int.from_bytes(head, "big")
                if tag in _VALUES:
                    body, inner = width, count * 2 if tag in _MAP else count
                else:
                    body = width + count + (tag in _EXT)
            at += 1 + body
            values += inner - 1
        self._at, self._values = at, values
        return not values and at <= size
