"""The console notifier: people read each notice once, however often its command is repeated."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from shared.adapters.local.notifier import CONTAINER, ConsoleNotifier
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.ports import Notice, NoticeKind

NOTICE = Notice("shop-1/approval", NoticeKind.APPROVAL, "shop-1", "Approve shop", "The gates hold.", ("ada",))


def test_a_repeated_notice_is_printed_once_even_by_another_process() -> None:
    blobs, out = MemoryBlobStore(), io.StringIO()
    for _ in range(2):
        notifier = ConsoleNotifier(blobs, out)
        notifier.send(NOTICE)
        notifier.send(NOTICE)
    assert out.getvalue() == "[approval] Approve shop\n    The gates hold.\n"


def test_changed_content_under_the_same_key_is_printed_and_replaces_what_is_kept() -> None:
    blobs, out = MemoryBlobStore(), io.StringIO()
    notifier = ConsoleNotifier(blobs, out)
    notifier.send(NOTICE)
    notifier.send(replace(NOTICE, text="A gate was missed.", links={"ada": "http://127.0.0.1/approve"}))
    assert "    A gate was missed.\n    ada: http://127.0.0.1/approve\n" in out.getvalue()
    (kept,) = blobs.list(CONTAINER)
    assert json.loads(blobs.read(CONTAINER, kept.name))["text"] == "A gate was missed."


def test_a_notice_that_could_not_be_kept_is_printed_again_rather_than_lost() -> None:
    class Full(MemoryBlobStore):
        def write(self, *_args: object, **_options: object) -> str:
            raise OSError("No space left on device")

    out = io.StringIO()
    with pytest.raises(OSError, match="No space"):
        ConsoleNotifier(Full(), out).send(NOTICE)
    ConsoleNotifier(MemoryBlobStore(), out).send(NOTICE)
    assert out.getvalue().count("Approve shop") == 2


def test_text_that_a_terminal_would_obey_is_written_out_on_the_console_and_kept_as_it_is() -> None:
    blobs, out = MemoryBlobStore(), io.StringIO()
    hostile = replace(NOTICE, title="a\x1b]0;t\x07", text="b\u202e\x9bc", links={"d\x1b": "http://127.0.0.1/\x1b"})
    ConsoleNotifier(blobs, out).send(hostile)
    assert out.getvalue() == (
        "[approval] a‹U+001B›]0;t‹U+0007›\n    b‹U+202E›‹U+009B›c\n    d‹U+001B›: http://127.0.0.1/‹U+001B›\n"
    )
    (kept,) = blobs.list(CONTAINER)
    assert json.loads(blobs.read(CONTAINER, kept.name))["title"] == hostile.title
