"""The variables of a run on Azure ML: they are shown to whoever may read the workspace, so secrets are refused."""

from __future__ import annotations

import math

from shared.adapters.local.engines.environment import declared_environment
from shared.errors import BusinessFailure
from shared.ports import RunSpec
from shared.process_secrets import holds_secret
from shared.use_case.references import is_secret


def environment_of(spec: RunSpec) -> dict[str, str]:
    """The variables: the flow's own, the use case's, and those that steer prompt flow.

    Raises:
        BusinessFailure: one of them holds a secret.
    """
    variables = {**declared_environment(spec.flow, spec.flow_file), **spec.environment}
    for name, value in variables.items():
        if is_secret(name, value) or holds_secret(value):
            raise BusinessFailure(
                f"The variable {name} holds a secret, and everybody who may read the Azure ML workspace could read it"
                " there: put it into a custom connection of the workspace and write"
                " `${<connection>.<key>}` under `environment_variables` of the flow's file."
            )
    return {
        **variables,
        "PF_LINE_TIMEOUT_SEC": str(math.ceil(spec.line_timeout_s)),
        "PF_WORKER_COUNT": str(max(1, spec.concurrency)),
        "GENAIOPS_RUN": spec.name,
    }
