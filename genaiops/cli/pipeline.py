"""A run of Azure Pipelines as `submit --azure` sees it: what asked for it, read from its predefined variables.

And how a step hands a value on to later jobs: by a logging command in which no value can say more than it should.

Sources: https://learn.microsoft.com/azure/devops/pipelines/build/variables and
https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from genaiops.cli.outcome import WrongUsage

if TYPE_CHECKING:
    from shared.chain.messages import AzureDevOps, ChainRequest

CHAIN_VARIABLE: Final = "chain"
"""The output variable with the chain's id."""
AZURE_REPOS: Final = "TfsGit"
"""What BUILD_REPOSITORY_PROVIDER says of a repository in Azure Repos, the only ones whose pull requests it keeps."""
_BRANCHES: Final = "refs/heads/"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


@dataclass(frozen=True)
class PipelineRun:
    """What a run's variables say of it."""

    build_id: str
    commit: str
    """Of a pull request its source branch's: BUILD_SOURCEVERSION is the merge with the target there, which is on no
    branch, and to which no status belongs."""
    branch: str
    pull_request: int | None
    requester: str
    """The mail address where there is one: with it approvers are compared, who may not approve what they asked for."""
    attempt: str
    """Of the stage and the job, `1.1` at first: a rerun asks anew, a repeated step does not."""
    azure_devops: AzureDevOps


def read(
    variables: Mapping[str, str],
    *,
    commit: str | None = None,
    branch: str | None = None,
    requester: str | None = None,
    pull_request: int | None = None,
    build_id: str | None = None,
) -> PipelineRun:
    """Read the variables; an option that was given stands in place of its variable.

    Raises:
        WrongUsage: naming each variable that is missing or wrong.
        pydantic.ValidationError: a value is none that a request may hold.
    """
    from shared.chain.messages import AzureDevOps

    wrong: list[str] = []

    def optional(*names: str) -> str:
        return next((text for name in names if (text := _value(variables, name))), "")

    def needed(*names: str) -> str:
        if not (text := optional(*names)):
            wrong.append(f"{' or '.join(names)} is missing")
        return text

    def number(text: str, name: str) -> int | None:
        if not text:
            return None
        if re.fullmatch(r"[1-9][0-9]{0,17}", text):
            return int(text)
        wrong.append(f"{name} is {text[:60]!r}; it must be a number")
        return None

    run = needed("BUILD_BUILDID")
    collection = needed("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI")
    project = needed("SYSTEM_TEAMPROJECTID")
    repository, target = None, None
    in_azure_repos = needed("BUILD_REPOSITORY_PROVIDER") == AZURE_REPOS
    if in_azure_repos:
        repository = needed("BUILD_REPOSITORY_ID")
    if optional("BUILD_REASON") == "PullRequest" or optional("SYSTEM_PULLREQUEST_PULLREQUESTID"):
        # Of GitHub's pull requests the id is one of its database; people know the number.
        number_variable = "SYSTEM_PULLREQUEST_PULLREQUEST" + ("ID" if in_azure_repos else "NUMBER")
        pull_request = pull_request or number(needed(number_variable), number_variable)
        commit = commit or needed("SYSTEM_PULLREQUEST_SOURCECOMMITID")
        branch = branch or needed("SYSTEM_PULLREQUEST_SOURCEBRANCH")
        target = needed("SYSTEM_PULLREQUEST_TARGETBRANCH").removeprefix(_BRANCHES)
    else:
        commit = commit or needed("BUILD_SOURCEVERSION")
        branch = branch or needed("BUILD_SOURCEBRANCH")
    requester = requester or needed("BUILD_REQUESTEDFOREMAIL", "BUILD_REQUESTEDFOR")
    run_number = number(run, "BUILD_BUILDID")
    if wrong:
        raise WrongUsage(
            "--azure reads the predefined variables of Azure Pipelines, and of these "
            f"{'; '.join(wrong)}. A step of a pipeline has them; elsewhere, submit without --azure."
        )
    return PipelineRun(
        build_id=build_id or run,
        commit=commit,
        branch=branch.removeprefix(_BRANCHES),
        pull_request=pull_request,
        requester=requester,
        attempt=f"{optional('SYSTEM_STAGEATTEMPT') or 1}.{optional('SYSTEM_JOBATTEMPT') or 1}",
        azure_devops=AzureDevOps(
            collection=collection.rstrip("/"),
            project=project,
            repository=repository,
            target_branch=target,
            run=run_number,
        ),
    )


def _value(variables: Mapping[str, str], name: str) -> str:
    text = variables.get(name, "").strip()
    # A macro whose variable does not exist is left as it stands, where a step maps it by hand.
    return "" if re.fullmatch(r"\$\([^()]*\)", text) else text


def checked_variable(name: str) -> str:
    """The name, if a step can set an output variable of it. Raises WrongUsage."""
    if not _VARIABLE.fullmatch(name) or name.lower() == CHAIN_VARIABLE:
        raise WrongUsage(
            f"--to-variable is {name[:60]!r}; it must be a name of letters, digits, _ and ., and not "
            f"{CHAIN_VARIABLE!r}, which gets the chain's id."
        )
    return name


def set_variable(name: str, value: str) -> str:
    """The line by which a step sets an output variable."""
    return f"##vso[task.setvariable variable={escaped(name)};isOutput=true]{escaped(value)}"


def escaped(text: str) -> str:
    """The text as a logging command holds it; the agent undoes it.

    The agent of Azure Pipelines (`Command.cs`) puts `;`, carriage return, line feed and `]` back first, `%` last.
    """
    for character, code in (("%", "%AZP25"), (";", "%3B"), ("\r", "%0D"), ("\n", "%0A"), ("]", "%5D")):
        text = text.replace(character, code)
    return text


def message_of(request: ChainRequest) -> str:
    """The request as JSON that stays what it is in a pipeline's variable.

    A variable's `$(…)` is replaced where the variable is used, an agent may be told (DECODE_PERCENTS) to leave `%AZP25`
    as it is, and its console need not know UTF-8: a branch's name may hold any of these, so they are written as JSON's
    escapes.
    """
    # exclude_none: what is not given has its default in `ChainRequest`, and a variable stays short.
    text = json.dumps(request.model_dump(mode="json", exclude_none=True), ensure_ascii=True, separators=(",", ":"))
    # None of these has a meaning of its own in JSON without arrays: all stand within strings.
    return re.sub(r"[%$;#\]\[]", lambda found: f"\\u{ord(found[0]):04x}", text)
