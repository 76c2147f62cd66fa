"""Which addresses belong to the organisations that the setting names, whoever wrote them and however."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.adapters.azure_devops.addresses import AllowList

CLOUD = AllowList(["https://dev.azure.com/contoso"])
LEGACY = AllowList(["https://contoso.visualstudio.com"])
SERVER = AllowList(["https://tfs.contoso.example:8443/tfs/Web%20Shop"])


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        (CLOUD, "https://dev.azure.com/contoso"),
        (CLOUD, "https://dev.azure.com/contoso/"),
        (CLOUD, "https://DEV.azure.com:443/Contoso/shop/_apis"),
        (CLOUD, "https://dev.azure.com/contoso/My%20Project/_apis/git"),
        (CLOUD, "https://contoso.visualstudio.com/"),
        (CLOUD, "https://Contoso.VisualStudio.com/shop"),
        (LEGACY, "https://contoso.visualstudio.com"),
        (LEGACY, "https://dev.azure.com/contoso/shop"),
        (SERVER, "https://tfs.contoso.example:8443/tfs/Web%20Shop/shop"),
    ],
)
def test_an_organisation_is_known_by_its_address_and_by_its_older_one(allowed: AllowList, address: str) -> None:
    assert allowed.refusal(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "",
        "contoso",
        "http://dev.azure.com/contoso",
        "HTTPS://dev.azure.com/contoso",
        "https:/dev.azure.com/contoso",
        "https://dev.azure.com",
        "https://dev.azure.com/",
        "https://dev.azure.com/contoso-evil",
        "https://dev.azure.com/contos",
        "https://dev.azure.com/mallory/contoso",
        "https://dev.azure.com//contoso",
        "https://dev.azure.com/contoso//",
        "https://dev.azure.com/contoso//shop",
        "https://dev.azure.com/contoso/../mallory",
        "https://dev.azure.com/contoso/./shop",
        "https://dev.azure.com/contoso/%2e%2e/mallory",
        "https://dev.azure.com/contoso/.%2E/mallory",
        "https://dev.azure.com/contoso/%252e%252e/mallory",
        "https://dev.azure.com/contoso%2fmallory",
        "https://dev.azure.com/mallory%2f..%2fcontoso",
        "https://dev.azure.com/contoso/%5c..",
        "https://dev.azure.com/contoso\\..\\mallory",
        "https://dev.azure.com/contoso/%00",
        "https://dev.azure.com/contoso/%zz",
        "https://dev.azure.com/contoso/%",
        "https://dev.azure.com/contoso?x=1",
        "https://dev.azure.com/contoso#x",
        "https://dev.azure.com/contoso;x/shop",
        "https://dev.azure.com/contoso/..;x/mallory",
        "https://dev.azure.com/contoso/..%20/mallory",
        "https://dev.azure.com@mallory.example/contoso",
        "https://mallory.example@dev.azure.com/contoso",
        "https://user:word@dev.azure.com/contoso",
        "https://mallory.example/https://dev.azure.com/contoso",
        "https://dev.azure.com.mallory.example/contoso",
        "https://dev.azure.com./contoso",
        "https://evil-dev.azure.com/contoso",
        "https://sub.dev.azure.com/contoso",
        "https://dev.azure.com:8443/contoso",
        "https://dev.azure.com:0443/contoso",
        "https://dev.azure.com:/contoso",
        "https://dev.azure.com:99999/contoso",
        "https://dev.azure.com:443@mallory.example/contoso",
        "https://dev.azure.com\t/contoso",
        "https://dev.azure.com/contoso\n",
        " https://dev.azure.com/contoso",
        "https://dev.azure.com/contoso\r\nX-Header: 1",
        "https://dev。azure.com/contoso",
        "https://dev.azure.com/contoſo",
        "https://[::1]/contoso",
        "https://127.0.0.1/contoso",
        "https://contoso.visualstudio.com.mallory.example/",
        "https://mallory.contoso.visualstudio.com/",
        "https://contosovisualstudio.com/",
        "https://contoso.visualstudio.com:8443/",
        "https://visualstudio.com/contoso",
        "https://dev.azure.com/contoso/" + "a" * 4_000,
    ],
)
def test_whatever_only_looks_like_it_is_refused(address: str) -> None:
    for allowed in (CLOUD, LEGACY):
        why = allowed.refusal(address)
        assert "GENAIOPS_AZURE_DEVOPS" in why
        assert len(why) < 400
        assert why.isprintable()


def test_one_organisation_lets_in_no_other_and_no_other_port() -> None:
    assert SERVER.refusal("https://dev.azure.com/contoso")
    assert SERVER.refusal("https://tfs.contoso.example/tfs/Web%20Shop")
    assert SERVER.refusal("https://tfs.contoso.example:8443/tfs/web%20shop"), "elsewhere a path means what it says"
    assert SERVER.refusal("https://tfs.contoso.example:8443/tfs")
    assert CLOUD.refusal("https://contoso.visualstudio.com.au/")


def test_where_nothing_is_set_nothing_is_answered_and_the_setting_is_named() -> None:
    assert "GENAIOPS_AZURE_DEVOPS is not set" in AllowList([]).refusal("https://dev.azure.com/contoso")


@pytest.mark.parametrize(
    "setting", ["https://dev.azure.com", "https://visualstudio.com", "https://dev.azure.com/a/..", "https://x/%2f"]
)
def test_a_setting_that_would_let_in_everybody_lets_in_nobody(setting: str) -> None:
    assert AllowList([setting]).refusal(setting)
    assert AllowList([setting]).refusal("https://dev.azure.com/contoso")


def test_a_part_of_a_project_can_be_allowed_alone_under_both_addresses() -> None:
    allowed = AllowList(["https://dev.azure.com/contoso/shop"])
    assert allowed.refusal("https://dev.azure.com/contoso/shop/_apis") == ""
    assert allowed.refusal("https://contoso.visualstudio.com/shop") == ""
    assert allowed.refusal("https://dev.azure.com/contoso")
    assert allowed.refusal("https://contoso.visualstudio.com/shopping")


BEGINNINGS = ("https://dev.azure.com/contoso", "https://contoso.visualstudio.com", "https://", "")
HOSTILE = (
    *(
        "https://",
        "http://",
        "dev.azure.com",
        "contoso",
        ".visualstudio.com",
        "mallory.example",
        "[::1]",
        "-",
        "a",
        ";",
    ),
    *(
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "%2f",
        "%5c",
        "%25",
        "%",
        "\\",
        "@",
        ":",
        ":443",
        ":8443",
        "?",
        "#",
        " ",
        "\t",
        "\0",
    ),
)
PIECES = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=8).map("".join)


@given(st.tuples(st.sampled_from(BEGINNINGS), PIECES).map("".join))
@example("https://dev.azure.com/contoso/a")
@example("https://contoso.visualstudio.com/a")
def test_what_is_allowed_is_read_alike_by_the_http_library_and_lies_in_the_organisation(address: str) -> None:
    if CLOUD.refusal(address):
        return
    import requests

    for parts in (urlsplit(address), urlsplit(requests.Request("POST", address).prepare().url or "")):
        assert (parts.scheme, parts.port or 443, parts.username, parts.query, parts.fragment) == (
            "https",
            443,
            None,
            "",
            "",
        )
        segments = parts.path.lower().split("/")[1:]
        assert ".." not in segments
        if parts.hostname == "dev.azure.com":
            assert segments[0] == "contoso"
        else:
            assert parts.hostname == "contoso.visualstudio.com"


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_no_suffix_turns_the_organisation_into_another(suffix: str) -> None:
    address = f"https://dev.azure.com/contoso{suffix}"
    if not suffix.startswith("/"):
        assert CLOUD.refusal(address)
