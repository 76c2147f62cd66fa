"""Rendering: a template and its values become a page with the headers under which a browser runs nothing but ours.

Everything that a page shows may have been written by a model or an attacker. Templates always escape, the style sheet
and the one script are allowed by their hash alone, and no page loads anything from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.pages import words

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = Path(__file__).parent

COMMON_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}


@dataclass(frozen=True)
class Page:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def html(self) -> str:
        """The body as text."""
        return self.body.decode()


@cache
def environment() -> Environment:
    """The templates, with escaping always on and unknown names refused."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(words.FILTERS)
    return templates


@cache
def asset(name: str) -> str:
    """The text of the style sheet or of the script."""
    return (_FOLDER / name).read_text(encoding="utf-8")


@cache
def asset_hash(name: str) -> str:
    """The Content-Security-Policy source that allows exactly this asset inline."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(asset(name).encode()).digest()).decode() + "'"


def policy(*, live: bool = False, forms: bool = False) -> str:
    """The Content-Security-Policy as a `<meta>` may state it."""
    parts = ["default-src 'none'", f"style-src {asset_hash('style.css')}", "base-uri 'none'"]
    parts.append("form-action 'self'" if forms else "form-action 'none'")
    if live:
        parts += [f"script-src {asset_hash('live.js')}", "connect-src 'self'"]
    return "; ".join(parts)


def render_html(
    template: str, *, live: bool = False, forms: bool = False, referrer: str = "no-referrer", **values: object
) -> str:
    """The text of a self-contained page."""
    from markupsafe import Markup

    return (
        environment()
        .get_template(template)
        .render(
            # Both are our own files, and escaping them would change their hashes.
            style=Markup(asset("style.css")),  # noqa: S704
            script=Markup(asset("live.js")) if live else "",  # noqa: S704
            policy=policy(live=live, forms=forms),
            referrer=referrer,
            **values,
        )
    )


def render(
    template: str,
    status: int = 200,
    *,
    live: bool = False,
    forms: bool = False,
    referrer: str = "no-referrer",
    **values: object,
) -> Page:
    """A page as an HTTP answer.

    Args:
        template: its name.
        status: of the answer.
        live: whether it updates itself.
        forms: whether it may post to this site.
        referrer: the policy under which browsers tell where a request comes from.
        **values: for the template.
    """
    html = render_html(template, live=live, forms=forms, referrer=referrer, **values)
    headers = {
        **COMMON_HEADERS,
        "Referrer-Policy": referrer,
        "Content-Security-Policy": policy(live=live, forms=forms) + "; frame-ancestors 'none'",
    }
    # A lone surrogate is valid in JSON and has no UTF-8: it must not keep a page from being shown.
    return Page(status=status, body=html.encode("utf-8", "replace"), headers=headers)


def message(status: int, title: str, text: str, *, tone: str = "bad") -> Page:
    """A page that says one thing."""
    return render("message.html", status, title=title, text=text, tone=tone)


def redirect(location: str) -> Page:
    """Send the browser on with a GET, so that reloading never posts again."""
    return Page(
        status=303, body=b"", content_type="text/plain; charset=utf-8", headers={**COMMON_HEADERS, "Location": location}
    )


def download(content: bytes, name: str, content_type: str) -> Page:
    """A file to be saved, never to be shown."""
    return Page(
        status=200,
        body=content,
        content_type=content_type,
        headers={
            **COMMON_HEADERS,
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        },
    )


def report(content: bytes) -> Page:
    """A stored report: sandboxed, so that not even a flaw in its escaping could act for the reader."""
    return Page(
        status=200,
        body=content,
        headers={
            **COMMON_HEADERS,
            "Content-Security-Policy": policy() + "; sandbox allow-popups; frame-ancestors 'none'",
        },
    )


def json_answer(content: bytes, status: int = 200) -> Page:
    """JSON for scripts."""
    return Page(status=status, body=content, content_type="application/json", headers=dict(COMMON_HEADERS))
