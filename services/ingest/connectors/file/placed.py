"""What readers of a file that is elsewhere, or packed, have in common: a place in it that can be moved."""

import io


class Placed(io.RawIOBase):
    """Reads from a place on."""

    _at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at
