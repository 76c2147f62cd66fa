"""The template of workers in a process that has a thread more than it may have: run as a module, as the real one is."""

from __future__ import annotations

import sys
import threading
import time

from shared.adapters.local.flow_runner import template_process

if __name__ == "__main__":
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    template_process.main(int(sys.argv[1]))
