"""A request's body as the door takes it: of a known type, unpacked within bounds. Pure; knows no event.

Unpacking stops as soon as the limit is passed, so a small body that unpacks to a huge one costs no more than the limit.
"""

from __future__ import annotations

import zlib
from typing import Final

from revline.core.problem import Problem, problem

SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PLAIN: Final = "application/json"
TYPES: Final = frozenset({SINGLE, BATCH, PLAIN})
_USUAL: Final = frozenset(each.encode() for each in TYPES)
GZIP: Final = "gzip"
ZSTD: Final = "zstd"
IDENTITY: Final = "identity"
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
ZSTD_WINDOW_MAX: Final = 8 * 1024 * 1024
"""What every writer of zstd asks for unless it was told to ask for more."""
UNPACKED_BESIDE_FROM: Final = 32 * 1024
"""A packed body of so many bytes is unpacked in a thread, so that others do not wait for it."""
BLANKS: Final = b" \t\r\n"


def is_batch(content_type: bytes, body: bytes) -> bool | Problem:
    """Whether a body of this content type is an array of events: as its type says, and plain JSON as it begins."""
    if content_type not in _USUAL:
        checked = _bare(content_type)
        if isinstance(checked, Problem):
            return checked
        content_type = checked
    array = body[:1] == b"[" or body.lstrip(BLANKS)[:1] == b"["
    if content_type == SINGLE.encode() and array:
        return problem("usage.content_type", f"an array is {BATCH}, not {SINGLE}")
    if content_type == BATCH.encode() and not array:
        return problem("usage.content_type", f"a batch is a JSON array; one event is {SINGLE}")
    return array


def _bare(content_type: bytes) -> bytes | Problem:
    kind, _, parameters = content_type.decode("latin-1").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"') if parameters.strip() else "utf-8"
    if kind.strip() not in TYPES or charset not in {"utf-8", "utf8"}:
        shown = content_type[:80].decode("latin-1")
        return problem("usage.content_type", f"the content type is {shown!r}" if shown else "no content type is given")
    return kind.strip().encode()


def unpacked(body: bytes, *, encoding: bytes, bytes_max: int) -> bytes | Problem:
    """The body as it was before it was packed. encoding: the `Content-Encoding` header. bytes_max: of the result."""
    name = encoding.decode("latin-1").strip().lower()
    if name in {"", IDENTITY}:
        return body
    if name in {GZIP, "x-gzip"}:
        return _gunzipped(body, bytes_max=bytes_max)
    if name == ZSTD:
        return _unzstd(body, bytes_max=bytes_max)
    return problem("usage.content_encoding", f"the content encoding is {name[:40]!r}")


def _gunzipped(body: bytes, *, bytes_max: int) -> bytes | Problem:
    made = zlib.decompressobj(GZIP_WINDOW)
    try:
        found = made.decompress(body, bytes_max + 1)
    except zlib.error:
        return problem("usage.body_damaged", "the body is not gzip")
    if len(found) > bytes_max:
        return _too_large(bytes_max)
    if not made.eof or made.unused_data:
        return problem("usage.body_damaged", "the body is not one whole gzip member")
    return found


def _unzstd(body: bytes, *, bytes_max: int) -> bytes | Problem:
    if _zstd_window(body) > max(bytes_max, ZSTD_WINDOW_MAX):
        return _too_large(bytes_max)
    # Arrow takes a fifth of a second to import; only senders that pack by zstd need it.
    import pyarrow as arrow  # noqa: PLC0415

    try:
        with arrow.CompressedInputStream(arrow.BufferReader(body), ZSTD) as stream:
            found: bytes = stream.read(bytes_max + 1)
    except (OSError, ValueError):
        return problem("usage.body_damaged", "the body is not zstd")
    if len(found) > bytes_max:
        return _too_large(bytes_max)
    return found if found or not body else problem("usage.body_damaged", "the body unpacks to nothing")


def _zstd_window(body: bytes) -> int:
    """The memory a zstd frame asks for to be unpacked (RFC 8878, 3.1.1.1), in bytes; 0 for what is no frame."""
    if len(body) < 6 or body[:4] != ZSTD_MAGIC:
        return 0
    descriptor = body[4]
    if not descriptor & 0b0010_0000:
        return 1 << (10 + (body[5] >> 3))
    size = 1 << (descriptor >> 6)
    dictionary = (0, 1, 2, 4)[descriptor & 0b11]
    return int.from_bytes(body[5 + dictionary : 5 + dictionary + size], "little")


def _too_large(bytes_max: int) -> Problem:
    return problem("http.body_too_large", f"the body unpacks to more than the {bytes_max} bytes taken here")
