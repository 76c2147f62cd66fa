"""The pages that are made from the code are up to date, and `docs --check` notices when they are not."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from genaiops.cli.app import app
from genaiops.cli.docs import pages
from genaiops.cli.outcome import MEANING, ExitCode
from tests.cli import run

ROOT = Path(__file__).parents[2]


def test_the_generated_pages_in_docs_are_up_to_date() -> None:
    checked = run("docs", "--check")
    assert checked.exit_code == ExitCode.OK, checked.stderr


def test_a_stale_page_fails_the_check_until_it_is_written_again(tmp_path: Path) -> None:
    missing = run("docs", "--check", "--folder", str(tmp_path))
    assert missing.exit_code == ExitCode.NO
    assert "chain.md" in missing.stderr
    assert list(tmp_path.iterdir()) == [], "a check writes nothing"
    assert run("docs", "--folder", str(tmp_path)).exit_code == ExitCode.OK
    assert run("docs", "--check", "--folder", str(tmp_path)).exit_code == ExitCode.OK
    (tmp_path / "messages.md").write_text("edited by hand\n")
    stale = run("docs", "--check", "--folder", str(tmp_path))
    assert stale.exit_code == ExitCode.NO
    assert "messages.md" in stale.stderr
    assert "chain.md" not in stale.stderr


def test_the_reference_names_every_command_option_and_exit_code() -> None:
    page = pages()["reference/command-line.md"]
    missing = []

    def look(command: object, name: str) -> None:
        for child, below in getattr(command, "commands", {}).items():
            look(below, f"{name} {child}".strip())
        if not hasattr(command, "commands"):
            section = page.split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
            options = [option for parameter in command.params for option in parameter.opts]  # type: ignore[attr-defined]
            missing.extend(
                f"{name} {option}" for option in options if option.startswith("-") and f"`{option}`" not in section
            )

    look(typer.main.get_command(app), "")
    assert missing == []
    assert set(re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)) == {str(code.value) for code in MEANING}
