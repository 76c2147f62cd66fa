"""References to registered assets, as messages and prepared chains hold them. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.names import AssetName


class AssetRef(BaseModel):
    """One version of a registered data asset or model."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: AssetName
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
