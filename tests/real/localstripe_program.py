"""Runs localstripe on a free loopback port, in a process of its own, keeping nothing on disk. Prints the port on its first line.

Its own entry point listens on every interface and writes what it holds to the temporary folder, so this takes its place.
"""

from __future__ import annotations

import socket

from aiohttp import web
from localstripe import resources, server  # type: ignore[import-untyped]


def main() -> None:
    """Serve until the process is ended."""
    resources.store.__class__.dump_to_disk = lambda self: None
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    web.run_app(server.app, sock=listener, print=None)


if __name__ == "__main__":
    main()
