"""How somebody who reads a CSV file gets the texts back, written down apart from what writes it."""

RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def original(text: str) -> str:
    """Without the apostrophe that was put in front of what a spreadsheet would run."""
    marked = text.startswith("'") and text.lstrip("'").startswith(RUN_BY_SPREADSHEETS)
    return text[1:] if marked else text
