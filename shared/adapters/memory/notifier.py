"""A notifier that only remembers; it ships so that users can test with it."""

from __future__ import annotations

from shared.ports import Notice, NoticeKind


class RecordingNotifier:
    """Notifier that keeps what it was asked to tell."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        """Every call, repetitions too."""
        self.notices: dict[str, Notice] = {}
        """What people see: the last notice of each key."""

    def send(self, notice: Notice) -> None:
        """Remember the notice; the same key again replaces the former one."""
        self.sent.append(notice)
        self.notices[notice.key] = notice

    def of_kind(self, kind: NoticeKind) -> list[Notice]:
        """What people see of one kind, in the order of the first sending."""
        return [notice for notice in self.notices.values() if notice.kind is kind]
