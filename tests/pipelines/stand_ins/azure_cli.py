"""A stand-in of the Azure CLI for pipelines' scripts: it writes down what it is asked, and answers as the test has laid out.

Only while `AzureCLI@2` runs it is logged in. Tokens come from the tests' identity endpoint, in the form that
azure-identity reads. `STAND_IN_ANSWERS` is a folder: `calls.jsonl` gets every call, `<command with dashes>.txt` is what a
command prints; it is taken from `<command>.1.txt`, `<command>.2.txt`, … first, one a call.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

WITHOUT_LOGIN = ("bicep",)


def main(arguments: list[str]) -> int:
    """Play one call."""
    command = [argument for argument in arguments if not argument.startswith("-")]
    if not os.environ.get("STAND_IN_LOGGED_IN") and arguments[0] not in WITHOUT_LOGIN:
        print("Please run 'az login' to setup account.", file=sys.stderr)
        return 1
    if arguments[:2] == ["account", "get-access-token"]:
        print(_token(arguments))
        return 0
    answers = Path(os.environ["STAND_IN_ANSWERS"])
    with (answers / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    if arguments[:2] in (["bicep", "build"], ["bicep", "build-params"]):
        source, target = (Path(arguments[arguments.index(name) + 1]) for name in ("--file", "--outfile"))
        target.write_text(json.dumps({"built from": source.name, "characters": len(source.read_text())}))
        return 0
    for length in range(len(command), 0, -1):
        name = "-".join(command[:length])
        numbered = sorted(answers.glob(f"{name}.[0-9]*.txt"))
        for file in [*numbered[:1], answers / f"{name}.txt"]:
            if file.is_file():
                print(file.read_text(), end="")
                if file in numbered:
                    file.unlink()
                return 0
    print(f"'{' '.join(command)}' is misspelled or not recognized by the system.", file=sys.stderr)
    return 2


def _token(arguments: list[str]) -> str:
    given = dict(itertools.pairwise(arguments))
    resource = given.get("--resource") or given["--scope"].removesuffix("/.default")
    query = urlencode({"resource": resource, "api-version": "2019-08-01"})
    headers = {"X-IDENTITY-HEADER": os.environ["STAND_IN_TOKENS_SECRET"]}
    with urlopen(Request(f"{os.environ['STAND_IN_TOKENS']}?{query}", headers=headers)) as answer:
        token = json.load(answer)
    ends = int(token["expires_on"])
    return json.dumps(
        {
            "accessToken": token["access_token"],
            "expiresOn": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(ends)),
            "expires_on": ends,
            "subscription": "00000000-0000-0000-0000-000000000000",
            "tenant": "00000000-0000-0000-0000-000000000000",
            "tokenType": "Bearer",
        }
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
