"""prompt flow's home of one served process, kept quiet and apart. Nothing of prompt flow is imported here."""

from __future__ import annotations

from pathlib import Path


def quiet_promptflow(home: Path) -> None:
    """Write prompt flow's settings: no telemetry, and no daemon that collects traces."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "pf.yaml").write_text("telemetry:\n  enabled: false\ntrace:\n  destination: none\n", encoding="utf-8")


def promptflow_environment(flow: Path, home: Path) -> dict[str, str]:
    """Variables that keep prompt flow apart and quiet; it reads them when it is imported."""
    return {"PF_HOME_DIRECTORY": str(home), "PF_LOGGING_LEVEL": "WARNING", "PROMPTFLOW_PROJECT_PATH": str(flow)}
