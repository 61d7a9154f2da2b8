"""Which exception and which HTTP status a failure becomes: the ones a ClickHouse server would answer with."""

import re

_CODE = re.compile(r"Code: (\d+)")

_AUTHENTICATION = {192, 193, 194, 516}
_FORBIDDEN = {164, 497}
_NOT_FOUND = {60, 81, 218}
_BAD_REQUEST = {6, 10, 16, 20, 26, 27, 36, 41, 43, 44, 46, 47, 53, 62, 69, 70, 72, 115, 117, 130, 131, 349, 386, 456}
_UNEXPLAINED = 1002


class EngineError(Exception):
    """A failed request. `code` is ClickHouse's error number; `text` is what the client reads."""

    def __init__(self, message: str) -> None:
        found = _CODE.search(message)
        self.code = int(found[1]) if found else _UNEXPLAINED
        self.text = message[found.start() :] if found else f"Code: {_UNEXPLAINED}. DB::Exception: {message}"
        super().__init__(self.text)

    @property
    def status(self) -> int:
        """The HTTP status that goes with the error number."""
        if self.code in _AUTHENTICATION | _FORBIDDEN:
            return 403
        if self.code in _NOT_FOUND:
            return 404
        if self.code in _BAD_REQUEST:
            return 400
        return {48: 501, 159: 408}.get(self.code, 500)


def exception(code: int, name: str, text: str) -> EngineError:
    """An error of our own, written the way the engine writes its errors."""
    return EngineError(f"Code: {code}. DB::Exception: {text} ({name})")
