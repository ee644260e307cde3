"""An endpoint on loopback that outbound webhooks are sent to: verifies each as Standard Webhooks 1.0 says, and counts.

Written from the specification, as a subscriber would; it shares no code with whoever signs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Self

TOLERANCE_SECONDS: Final = 300
BODY_BYTES_MAX: Final = 1_000_000


class Receiver:
    """Counts verified messages by type, each webhook-id once. secret: whsec_ and base64. Use as a context manager."""

    def __init__(self, *, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self.types: Counter[str] = Counter()
        self.repeated = 0
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = min(int(self.headers.get("content-length", "0")), BODY_BYTES_MAX)
                taken = receiver.take(headers=dict(self.headers.items()), body=self.rfile.read(length))
                self.send_response(200 if taken else 400)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing: the counts are what is told."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/revline"

    @property
    def verified(self) -> int:
        """Messages taken, each once."""
        return sum(self.types.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def take(self, *, headers: dict[str, str], body: bytes) -> bool:
        """Whether a message is what it says it is; counted when so."""
        given = {name.lower(): value for name, value in headers.items()}
        identity, moment = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
        content = f"{identity}.{moment}.".encode() + body
        expected = base64.b64encode(hmac.new(self._key, content, hashlib.sha256).digest()).decode()
        signatures = [part.partition(",")[2] for part in given.get("webhook-signature", "").split()]
        fresh = moment.isdecimal() and abs(time.time() - int(moment)) <= TOLERANCE_SECONDS
        good = bool(identity) and fresh and any(hmac.compare_digest(one, expected) for one in signatures)
        with self._lock:
            if not good:
                self.refused += 1
            elif identity in self._seen:
                self.repeated += 1
            else:
                self._seen.add(identity)
                self.types[str(json.loads(body).get("type", ""))] += 1
        return good
