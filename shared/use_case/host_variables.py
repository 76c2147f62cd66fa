"""Variables that the host of the functions keeps for itself: its identity, its storage, its keys. Pure.

A use case may name any variable whose value its flows shall get. What is named here is never looked up for it: with the
header of the identity endpoint or a connection string, whoever reads a run's variables would act as the app.
"""

from __future__ import annotations

import re
from typing import Final

_OURS: Final = "GENAIOPS_"
_OF_THE_HOST: Final = re.compile(
    r"(?i)"
    # App Service's copies of every setting and connection string, ours among them:
    # https://learn.microsoft.com/azure/app-service/reference-app-settings#variable-prefixes
    r"(appsetting|[a-z]*connstr)_.*"
    r"|identity_(header|endpoint|server_thumbprint)|imds_endpoint|msi_(secret|endpoint)"
    r"|azurewebjobs.*|(servicebus|storage)__.*|deployment_storage_connection_string"
    r"|applicationinsights_.*|appinsights_.*"
    r"|machinekey_.*|container_(encryption_key|start_.*)|scm_.*|website_(auth|content|run_from)[a-z_]*"
    r"|website_.*(key|connectionstring)|microsoft_provider_authentication_secret|docker_registry_server_.*"
)
_KEYS: Final = re.compile(
    r"(?i)(identity_header|msi_secret|azurewebjobs(?!.*__)\w*(storage|connection\w*|dashboard|secret\w*|key)"
    r"|[a-z]*connstr_.*|applicationinsights_connection_string|appinsights_.*|machinekey_.*|container_encryption_key"
    r"|website_(auth_.*key|content\w*connectionstring|run_from_package)|website_.*(key|connectionstring))"
)


def is_ours(name: str) -> bool:
    """Whether it is a setting of this product."""
    return name.upper().startswith(_OURS)


def is_of_the_host(name: str) -> bool:
    """Whether the host has it for itself. `Storage__…` and the like say where the app's own resources are."""
    return _OF_THE_HOST.fullmatch(name) is not None


def is_key_of_the_host(name: str) -> bool:
    """Whether it is one of those that open something. `Storage__blobServiceUri` and its kin only say where it is."""
    return _KEYS.fullmatch(name) is not None
