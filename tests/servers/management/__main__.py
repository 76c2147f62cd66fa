"""`python -m tests.servers.management --certificate server.pem --key server.key [--port P]`: the stand-in as a process.

It prints its address and serves until it is ended; for looking at it by hand, and for programs that start it themselves.
"""

from __future__ import annotations

import argparse
import ssl
import threading

from tests.servers.management import Management


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.management", description=__doc__)
    parser.add_argument("--certificate", required=True, help="the certificate with its chain, PEM")
    parser.add_argument("--key", required=True, help="its key, PEM")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(asked.certificate, asked.key)
    with Management(context, port=asked.port) as management:
        for name, value in management.environment.items():
            print(f"{name}={value}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
