"""A credential that is found when a token is first asked for: wiring the ports imports no SDK and asks nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenCredential, TokenRequestOptions


class LazyCredential:
    """Stands for the credential that `find` returns, which keeps what it has found."""

    def __init__(self, find: Callable[[], TokenCredential]) -> None:
        self._find = find

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """A token for these scopes."""
        return self._find().get_token(*scopes, **options)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """The same, in the newer form, which credentials of azure-identity all have."""
        found: Any = self._find()
        token: AccessTokenInfo = found.get_token_info(*scopes, options=options)
        return token
