"""Keys: the secret keys of this installation, which sign approval links and seal what must not lie in clear."""

from __future__ import annotations

from typing import Final, Protocol

KEY_BYTES: Final = 32
APPROVAL_LINKS: Final = "approval-key"
TASK_TOKENS: Final = "task-token-key"


class Keys(Protocol):
    """The keys of this installation."""

    def key(self, name: str) -> bytes:
        """The key of this name, 32 random bytes, made at first use; every process gets the same.

        Raises Throttled or Transient to be called again, BusinessFailure where the keys cannot be opened.
        """
        ...
