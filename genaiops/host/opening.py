"""Opens the queues of all triggers when the host starts, side by side, and says in one text what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from genaiops.host.errors import HostError
from genaiops.host.triggers import DEAD_LETTERS, QueueTrigger
from shared.errors import GenAIOpsError, NotFound
from shared.ports import QueueReceiver


def open_all(receiver: QueueReceiver, triggers: Sequence[QueueTrigger]) -> None:
    """Make ready to receive from every queue.

    Raises:
        HostError: for each kind of trouble the first queue that has it, and the names of the others.
    """

    def trouble(trigger: QueueTrigger) -> GenAIOpsError | None:
        try:
            receiver.open(trigger.queue)
        except GenAIOpsError as error:
            return error
        return None

    with ThreadPoolExecutor(max(len(triggers), 1), "open-queues") as pool:
        found = [
            (trigger, error) for trigger, error in zip(triggers, pool.map(trouble, triggers), strict=True) if error
        ]
    if not found:
        return
    texts = []
    for kind in dict.fromkeys(type(error) for _, error in found):
        (first, error), *more = [(trigger, error) for trigger, error in found if type(error) is kind]
        text = str(error)
        if kind is NotFound:
            text = f"The function {first.name} waits on a queue that is not there. {text}"
        # A dead-letter queue is there when its queue is.
        others = [trigger.queue for trigger, _ in more if not trigger.queue.lower().endswith(DEAD_LETTERS)]
        texts.append(f"{text} So it is with {', '.join(others)}." if others else text)
    raise HostError("\n".join(texts))
