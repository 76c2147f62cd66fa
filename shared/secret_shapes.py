"""Secrets that show by their shape, wherever they stand: tokens, keys of connection strings, signatures of links. Pure.

`redaction` takes out what an installation's connections hold; this takes out what nobody told us of, such as a token in
an SDK's error. It is the last net under every text that leaves the process: logs, errors, records, telemetry.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

_NAMES: Final = (
    r"AccountKey|SharedAccessKey|SharedAccessSignature|AuthToken|Authorization|api[-_]?key|x-functions-key"
    r"|Ocp-Apim-Subscription-Key|client_secret|client_assertion|refresh_token|access_token|id_token|password|pwd"
)
_BEHIND: Final = r"[\"']?\s*[=:]\s*[\"']?(?:(?:Bearer|Basic|SharedAccessSignature)\s+)?"
"""Between a name and its value: as in a connection string, a header, JSON and a Python dict."""
_SHAPES: Final[tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...]] = (
    # An Azure DevOps token, a managed identity's token: three parts in base64url, the first of which begins `{"`.
    (("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), HIDDEN),
    (("bearer", "basic"), re.compile(r"(?i)\b(Bearer|Basic)\s+(?!\*)[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (
        ("key", "token", "signature", "authorization", "secret", "assertion", "password", "pwd"),
        re.compile(rf"(?i)\b({_NAMES})({_BEHIND})(?![\s*])[^\s\"'&;,<>}}\]]{{3,}}"),
        rf"\1\2{HIDDEN}",
    ),
    # The signature of a SAS, with or without a question mark before; a function key in an address.
    (("sig=",), re.compile(r"(?i)(?<![\w])(sig=)(?!\*)[^\s\"'&;,<>]{8,}"), rf"\1{HIDDEN}"),
    (("code=",), re.compile(r"(?i)([?&]code=)(?!\*)[^\s\"'&;,<>]{8,}"), rf"\1{HIDDEN}"),
    # The key of a storage account (64 bytes) and of a Service Bus rule (32 bytes), in base64.
    (("=",), re.compile(r"(?<![\w+/])(?:[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{43}=)(?![\w+/=])"), HIDDEN),
    (("sk-",), re.compile(r"(?<![\w-])sk-[A-Za-z0-9_-]{20,}"), HIDDEN),
    # A personal access token of Azure DevOps carries this mark near its end:
    # https://learn.microsoft.com/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate
    (("azdo",), re.compile(r"\b[A-Za-z0-9]{72,80}AZDO[A-Za-z0-9]{4}\b"), HIDDEN),
)
"""What a text must have, in lower case, for the shape to be in it (most log lines have nothing); the shape; instead."""


def masked(text: str) -> str:
    """The text with `***` in the place of each secret that shows by its shape."""
    lowered = text.lower()
    for hints, shape, instead in _SHAPES:
        if any(hint in lowered for hint in hints):
            text = shape.sub(instead, text)
    return text


def holds_key(text: str) -> bool:
    """Whether a setting's value is a connection string or an address with a key or a signature in it."""
    return re.search(r"(?i)(SharedAccessKey|SharedAccessSignature|AccountKey|(^|[?&;])sig)\s*=", text) is not None
