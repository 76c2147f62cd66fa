"""Function keys: made once per home, checked in constant time.

They are the host-level keys of Azure: `default` opens functions of level `function`, `_master` opens those of level
`admin` as well.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from genaiops.host.errors import HostError


@dataclass(frozen=True)
class FunctionKeys:
    """The two keys of a host."""

    default: str = field(repr=False)
    master: str = field(repr=False)

    def allow(self, auth_level: str, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        """Whether a request may call a function of that level; the key is in `x-functions-key` or in `?code=`."""
        if auth_level == "anonymous":
            return True
        # The header wins, as in Azure; encoded, for compare_digest refuses non-ASCII text.
        given = (headers.get("x-functions-key") or query.get("code") or "").encode("utf-8", "surrogateescape")
        is_master = hmac.compare_digest(given, self.master.encode())
        is_default = hmac.compare_digest(given, self.default.encode())
        return is_master or (is_default and auth_level == "function")


def load_keys(path: Path) -> FunctionKeys:
    """Read the keys, or make them. The file is for its owner only.

    Raises:
        HostError: the file is there and does not hold two keys.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return FunctionKeys(default=str(content["default"]), master=str(content["_master"]))
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise HostError(
            f"{path} does not hold the host's keys ({error}). Delete it: new keys are then made."
        ) from error
    keys = FunctionKeys(default=secrets.token_urlsafe(32), master=secrets.token_urlsafe(32))
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"default": keys.default, "_master": keys.master}, file)
    temporary.replace(path)
    return keys
