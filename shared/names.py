"""Every name that becomes a path, a blob name or a resource name is checked here, and nowhere else."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final

from pydantic import StringConstraints

from shared.errors import InvalidName

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
NAME_RULE: Final = "1 to 63 of the characters A-Z a-z 0-9 _ - and starts with a letter or a digit"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
"""A use case, dataset, evaluator, environment, endpoint or approver-independent identifier."""

ASSET_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9][A-Za-z0-9_-]{0,62})?$"

AssetName = Annotated[str, StringConstraints(pattern=ASSET_PATTERN)]
"""A registered asset: a use case's flow bears its name, a dataset `<use case>.<dataset>` (no name holds a dot)."""

ChainId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,95}$")]
"""`<use case>-<kind>-<12 hex of the request id's SHA-256>`, in lower case."""

MAIL_ADDRESS: Final = r"[^@\s,;<>()\"]+@[A-Za-z0-9.-]+"
"""A mail address, as a pattern. It holds no comment, so that one mailbox has one name."""

CHAIN_ID_RULE: Final = "1 to 96 of the characters a-z 0-9 _ - and starts with a letter or a digit"

CommandId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,95}/[0-9]{1,9}$")]
"""`<chain id>/<n>`, n counted from 1 in the chain."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hexadecimal."""


def is_name(text: str) -> bool:
    """Whether it is allowed as a name."""
    return re.fullmatch(NAME_PATTERN[1:-1], text) is not None


def checked(name: str, what: str) -> str:
    """Return `name` if it is allowed.

    Raises:
        InvalidName: naming `what`, the value and the rule.
    """
    if not is_name(name):
        raise InvalidName(f"{what} {name!r} is not a valid name: a name has {NAME_RULE}.")
    return name


def checked_asset(name: str, what: str) -> str:
    """Return `name` if it is an asset's: a name, or two joined by a dot. Raises InvalidName."""
    if not re.fullmatch(ASSET_PATTERN[1:-1], name):
        raise InvalidName(f"{what} {name!r} is not a valid asset name: a name, or <use case>.<dataset>; {NAME_RULE}.")
    return name


def chain_id(use_case: str, kind: str, request_id: str) -> str:
    """The chain that a request starts: the same request always names the same chain."""
    digest = hashlib.sha256(f"{use_case}\n{kind}\n{request_id}".encode()).hexdigest()[:12]
    return f"{use_case.lower()}-{kind.replace('_', '-')}-{digest}"
