import os

from promptflow.connections import (
    AzureContentSafetyConnection,
    CognitiveSearchConnection,
    CustomConnection,
    SerpConnection,
)
from promptflow.core import tool


@tool
def look(
    what: str,
    shop: CustomConnection,
    search: CognitiveSearchConnection,
    safety: AzureContentSafetyConnection,
    serp: SerpConnection,
) -> dict:
    """What a tool finds in its connections and variables; `raise` puts their secrets into an error."""
    secrets = [shop.secrets["token"], search.api_key, safety.api_key, serp.api_key, os.environ["SHOP_API_KEY"]]
    if what == "raise":
        raise ValueError(" ".join(["refused:", *secrets]))
    places = [shop.configs["url"], search.api_base, safety.endpoint, os.environ["SHOP_PLACE"]]
    return {"places": places, "lengths": [len(secret) for secret in secrets]}
