"""The page on which somebody signs in, or follows a one-time link. It runs no script but its own, and stands in no frame."""

import secrets
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

PAGE_PATH: Final = "/sign-in"
_PAGE: Final = Path(__file__).parent / "pages" / "sign_in.html"

router = APIRouter()


@router.get(PAGE_PATH, include_in_schema=False)
def page() -> HTMLResponse:
    """The same for everybody: what it shows it asks of the API."""
    nonce = secrets.token_urlsafe(16)
    allowed = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in allowed.items()),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(_PAGE.read_text(encoding="utf-8").replace("{nonce}", nonce), headers=headers)
