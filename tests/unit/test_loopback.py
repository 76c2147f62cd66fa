"""Servers of this machine answer those who ask under its name, and nobody whom another site sends."""

from __future__ import annotations

import pytest

from shared.loopback import host_name, refusal


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7073", "localhost", "LOCALHOST:1", "[::1]", "[::1]:7073"])
@pytest.mark.parametrize("fetch_site", [None, "none", "same-origin"])
def test_this_machines_names_are_answered(host: str, fetch_site: str | None) -> None:
    assert refusal(host, fetch_site) == ""


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:7073",
        "evil@evil.example",
        "[",
        "[::1",
        "]",
    ],
)
def test_foreign_names_are_refused(host: str) -> None:
    assert "127.0.0.1 and localhost only" in refusal(host, None)


@pytest.mark.parametrize("fetch_site", ["cross-site", "same-site", "", "anything"])
def test_what_another_site_sends_is_refused(fetch_site: str) -> None:
    assert "another site" in refusal("127.0.0.1:7073", fetch_site)


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example", "null", "", "http://["])
def test_what_a_page_of_another_site_posts_is_refused(origin: str) -> None:
    assert "another site" in refusal("127.0.0.1:7073", None, origin)


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:7073", "http://localhost"])
def test_what_a_page_of_this_machine_posts_is_answered(origin: str | None) -> None:
    assert refusal("127.0.0.1:7073", "same-origin", origin) == ""


def test_a_host_that_is_no_name_has_none() -> None:
    assert host_name("[") is None
    assert host_name("Example.org:80") == "example.org"
