"""Notes of how far a run is, for people who watch: at most one a second, and never a reason for a run to fail."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from shared.errors import GenAIOpsError, NotFound
from shared.ports import BlobStore, Ports
from shared.results import CONTAINER

log = logging.getLogger("genaiops.experimentation")

INTERVAL: Final = timedelta(seconds=1)
FILE: Final = "progress.json"


class ProgressNotes:
    """Writes how many lines have ended to the run's folder; called as `RunSpec.on_progress`, from any thread."""

    def __init__(self, ports: Ports, folder: str) -> None:
        self._ports = ports
        self._folder = folder
        self._lock = Lock()
        self._noted_at: datetime | None = None

    def __call__(self, lines: int) -> None:
        """Note the count, unless one was noted within the last second."""
        now = self._ports.clock.now()
        with self._lock:
            if self._noted_at is not None and now - self._noted_at < INTERVAL:
                return
            self._noted_at = now
        try:
            self._ports.blobs.write(CONTAINER, f"{self._folder}/{FILE}", json.dumps({"lines": lines}).encode())
        except (GenAIOpsError, OSError) as error:
            log.warning("the progress of %s could not be noted: %s", self._folder, error)


def lines_ended(blobs: BlobStore, folder: str) -> int:
    """Lines that have ended in a run under way, as last noted; 0 where nothing was noted."""
    try:
        return int(json.loads(blobs.read(CONTAINER, f"{folder}/{FILE}"))["lines"])
    except NotFound:
        return 0
