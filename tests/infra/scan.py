"""The security scan of infra/ by checkov, from an environment of its own; offline, by the rules that come with it.

A finding is `<rule> <file> <resource>`. A rule that breaks down on a resource is a finding, too, marked as such: else it
would look as if it had been satisfied.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.infra.world import ROOT

PROGRAM: Final = ROOT / ".venv-scan" / "bin" / "checkov"
_BROKEN: Final = re.compile(r"Failed to run check (\S+) on (\S+?):(\S+)")
_PARSING: Final = re.compile(r"(?i)(failed to parse|not parsable|parsing error)")


class ScanError(Exception):
    """The scan itself failed."""


def findings(infra: Path) -> set[str]:
    """Scan the folder. Raises ScanError where the scanner is missing, cannot read a file, or says nothing."""
    if not PROGRAM.is_file():
        raise ScanError("The security scanner is not installed: `make scanner` (it needs the package index once)")
    command = [str(PROGRAM), "--directory", str(infra), "--framework", "bicep", "--skip-download", "--output", "json"]
    with tempfile.TemporaryDirectory() as home:  # it keeps the tables of its parser there
        surroundings = {"PATH": os.defpath, "HOME": home, "LOG_LEVEL": "WARNING"}
        done = subprocess.run(command, capture_output=True, text=True, env=surroundings, timeout=120, check=False)
    try:
        answer = json.loads(done.stdout)
        results, summary = answer["results"], answer["summary"]
    except (ValueError, KeyError, TypeError) as error:
        raise ScanError(f"The scanner gave no report: {done.stdout[-500:]} {done.stderr[-2000:]}") from error
    if summary["parsing_errors"] or results.get("parsing_errors") or _PARSING.search(done.stderr):
        raise ScanError(f"The scanner could not read {results.get('parsing_errors')}: {done.stderr[-2000:]}")
    if not summary["passed"]:
        raise ScanError("The scanner has satisfied no rule at all: it has read nothing")
    found = {
        f"{one['check_id']} {one['file_path'].lstrip('/')} {one['resource'].rpartition('.')[2]}"
        for one in results["failed_checks"]
    }
    broken = {
        f"{rule} {os.path.relpath(file, infra)} {resource.rpartition('.')[2]} (broke down)"
        for rule, file, resource in _BROKEN.findall(done.stderr)
    }
    return found | broken
