"""The local notifier: notices go to the console, and are kept where the dashboard and the command line find them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final, TextIO

from shared.errors import NotFound
from shared.ports import BlobStore, Notice, NoticeKind
from shared.visible import for_terminal

CONTAINER: Final = "notices"


class ConsoleNotifier:
    """Prints each notice once, and stores it as `notices/<key>.json`."""

    def __init__(self, blobs: BlobStore, out: TextIO) -> None:
        self._blobs = blobs
        self._out = out

    def send(self, notice: Notice) -> None:
        """Print and keep the notice; one that is kept with the same content is not printed again, and a notice of the
        same key with other content replaces it.
        """
        name, content = f"{notice.key}.json", json.dumps(asdict(notice)).encode()
        if self._kept(name) == content:
            return
        lines = [f"[{notice.kind}] {notice.title}"]
        if notice.kind is not NoticeKind.PROGRESS:
            lines += [f"    {line}" for line in notice.text.splitlines()]
        lines += [f"    {label}: {address}" for label, address in notice.links.items()]
        self._out.write("".join(f"{for_terminal(line)}\n" for line in lines))
        self._out.flush()
        # Kept after it was printed: a process that dies in between prints it twice, never not at all.
        self._blobs.write(CONTAINER, name, content)

    def _kept(self, name: str) -> bytes | None:
        try:
            return self._blobs.read(CONTAINER, name)
        except NotFound:
            return None
