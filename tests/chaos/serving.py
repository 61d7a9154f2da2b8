"""Servers that a test kills, each a process: `python -m tests.chaos.serving KIND PORT FOLDER`.

`rest` serves the objects of `rows.jsonl` in pages, `sftp` the folder.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import asyncssh
import uvicorn
from fastapi import FastAPI

PASSWORD: Final = "sftp-password-of-the-tests"
PAGE_ROWS: Final = 500


def rest(folder: Path) -> FastAPI:
    """An API whose pages are found by a cursor: the number of the first row."""
    rows = (folder / "rows.jsonl").read_text().splitlines()
    app = FastAPI()

    @app.get("/rows")
    def page(cursor: int = 0) -> dict[str, Any]:
        until = cursor + PAGE_ROWS
        items = [json.loads(row) for row in rows[cursor:until]]
        return {"items": items, "next": str(until) if until < len(rows) else None}

    return app


class OneUser(asyncssh.SSHServer):
    """Lets in `reader`."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("reader", PASSWORD)


async def sftp(port: int, folder: Path) -> None:
    """Serve a folder, as its root; the key of the server is beside it and stays the same."""
    served = os.fsencode(folder)
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=OneUser,
        server_host_keys=[str(folder.with_suffix(".key"))],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=served),
    )
    await asyncio.Event().wait()


def main(kind: str, port: str, folder: str) -> None:
    """Serve until killed."""
    if kind == "rest":
        uvicorn.run(rest(Path(folder)), host="127.0.0.1", port=int(port), log_level="warning")
    else:
        asyncio.run(sftp(int(port), Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])
