"""The fork server in a process that has a thread more than it may have: run as a module, as the real one is."""

from __future__ import annotations

import sys
import threading
import time

from shared.adapters.local.flow_runner import fork_server_process

if __name__ == "__main__":
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    fork_server_process.main(int(sys.argv[1]))
