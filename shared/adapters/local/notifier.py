"""The local notifier: notices go to the console, and are kept where the dashboard and the command line find them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Final, TextIO

from shared.errors import NotFound
from shared.ports import BlobStore, Notice, NoticeKind
from shared.visible import for_terminal

CONTAINER: Final = "notices"


class ConsoleNotifier:
    """Prints each notice once, and stores it as `notices/<key>.json`.

    Args:
        blobs: where notices are kept.
        out: where they are printed.
        personal_links: whether approvers' links are printed and kept: on a laptop, where the person who reads along is
            the approver; not in Azure, where many may read logs and few may answer.
    """

    def __init__(self, blobs: BlobStore, out: TextIO, *, personal_links: bool = True) -> None:
        self._blobs = blobs
        self._out = out
        self._personal_links = personal_links

    def send(self, notice: Notice) -> None:
        """Print and keep the notice; one that is kept with the same content is not printed again, and a notice of the
        same key with other content replaces it.
        """
        if notice.kind in (NoticeKind.APPROVAL, NoticeKind.REMINDER) and not self._personal_links:
            notice = replace(notice, links={})
        name, content = f"{notice.key}.json", json.dumps(asdict(notice), default=str).encode()
        if self._kept(name) == content:
            return
        lines = [f"[{notice.kind}] {notice.title}"]
        if notice.deadline is not None:
            lines.append(f"    Answer until {notice.deadline:%Y-%m-%d %H:%M} UTC; no answer counts as a rejection.")
        if notice.kind is not NoticeKind.PROGRESS:
            lines += [f"    {line}" for line in (notice.brief or notice.text).splitlines()]
        lines += [f"    {label}: {address}" for label, address in notice.links.items()]
        if notice.open_link:
            lines.append(f"    Open: {notice.open_link}")
        self._out.write("".join(f"{for_terminal(line)}\n" for line in lines))
        self._out.flush()
        # Kept after it was printed: a process that dies in between prints it twice, never not at all.
        self._blobs.write(CONTAINER, name, content)

    def _kept(self, name: str) -> bytes | None:
        try:
            return self._blobs.read(CONTAINER, name)
        except NotFound:
            return None
