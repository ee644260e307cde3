"""The bytes of the log: the header of a file, a record of one commit, a chunk of one tenant in it. Pure; opens no file.

A file begins with its header, then come records. A record is: head, chunk table, chunks, checksum. The head says how long it is and
carries the checksum of the record before, so a record can't be taken out. A chunk is one tenant's canonical lines, sealed with
AES-256-GCM under a key made from the tenant's data key and the file's salt; its nonce is its first sequence, which no other chunk
of the tenant in the file has.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import xxhash
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from revline.platform.tenancy.data_keys import DataKey
from revline.subledger.usage.log.values import Offset

MAGIC: Final = b"RVUSAGE1"
RECORD_MAGIC: Final = 0x31434552
RECORD_MARK: Final = RECORD_MAGIC.to_bytes(4, "little")
SALT_BYTES: Final = 16
CHECKSUM_BYTES: Final = 16
HEAD: Final = struct.Struct("<IIQQq16sI")
"""magic, bytes with the checksum, first sequence, events, received at (microseconds since 1970), checksum before, bytes of meta"""
RECORD_BYTES_MAX: Final = 1 << 31


class FileHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a log file says of itself. first_sequence: of the first event in it. offsets: the stream positions before it."""

    shard: int
    fence: int
    first_sequence: int
    salt: bytes
    offsets: tuple[Offset, ...] = ()


class ChunkMeta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A chunk in a record's table. length: bytes with the seal."""

    tenant_id: str
    key_id: int
    first_sequence: int
    events: int
    length: int


class RecordMeta(msgspec.Struct, frozen=True, array_like=True):
    """A record's table: its chunks in order, and the stream positions it covers."""

    chunks: list[ChunkMeta]
    offsets: list[Offset]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is read back. body: the chunks, one after another."""

    first_sequence: int
    events: int
    received_at_micros: int
    meta: RecordMeta
    body: memoryview
    checksum: bytes
    length: int


_encode: Final = msgspec.msgpack.Encoder().encode
_meta: Final = msgspec.msgpack.Decoder(RecordMeta).decode
_header: Final = msgspec.msgpack.Decoder(FileHeader).decode
checksum_of: Final = xxhash.xxh3_128_digest


def header_bytes(header: FileHeader) -> bytes:
    """The bytes a file begins with; their checksum is the `checksum before` of its first record."""
    body = _encode(header)
    text = MAGIC + struct.pack("<I", len(body)) + body
    return text + checksum_of(text)


def read_header(data: memoryview) -> tuple[FileHeader, bytes, int] | None:
    """The header of a file, its checksum, and where its records begin; None when it is not whole."""
    start = len(MAGIC) + 4
    if len(data) < start or bytes(data[: len(MAGIC)]) != MAGIC:
        return None
    end = start + int.from_bytes(data[len(MAGIC) : start], "little")
    if len(data) < end + CHECKSUM_BYTES or checksum_of(data[:end]) != bytes(data[end : end + CHECKSUM_BYTES]):
        return None
    return _header(data[start:end]), bytes(data[end : end + CHECKSUM_BYTES]), end + CHECKSUM_BYTES


def record_bytes(
    *, first_sequence: int, events: int, received_at_micros: int, before: bytes, meta: RecordMeta, body: Sequence[bytes]
) -> bytes:
    """The bytes of one record, its checksum last."""
    table = _encode(meta)
    length = HEAD.size + len(table) + sum(map(len, body)) + CHECKSUM_BYTES
    head = HEAD.pack(RECORD_MAGIC, length, first_sequence, events, received_at_micros, before, len(table))
    text = b"".join((head, table, *body))
    return text + checksum_of(text)


def read_record(data: memoryview, *, before: bytes | None) -> Record | None:
    """The record that data begins with; None when it is not whole, or does not follow the checksum before (None: any)."""
    if len(data) < HEAD.size + CHECKSUM_BYTES:
        return None
    magic, length, first, events, received, previous, table = HEAD.unpack_from(data)
    if magic != RECORD_MAGIC or not HEAD.size + table + CHECKSUM_BYTES <= length <= len(data):
        return None
    end = length - CHECKSUM_BYTES
    checksum = bytes(data[end:length])
    if checksum_of(data[:end]) != checksum or (before is not None and previous != before):
        return None
    start = HEAD.size + table
    return Record(
        first_sequence=first,
        events=events,
        received_at_micros=received,
        meta=_meta(data[HEAD.size : start]),
        body=data[start:end],
        checksum=checksum,
        length=length,
    )


def record_step(data: memoryview) -> tuple[int, int] | None:
    """The bytes and the last sequence of the record that data begins with, by its head alone; None when it is not all there."""
    if len(data) < HEAD.size + CHECKSUM_BYTES:
        return None
    magic, length, first, events, _, _, _ = HEAD.unpack_from(data)
    return (length, first + events - 1) if magic == RECORD_MAGIC and length <= len(data) else None


def cipher_of(key: DataKey, *, salt: bytes) -> AESGCM:
    """The cipher of one tenant's chunks in one file."""
    return AESGCM(blake2b(salt, digest_size=32, key=key.secret, person=b"usage chunk").digest())


def nonce_of(first_sequence: int) -> bytes:
    """The nonce of a chunk: no other chunk of the tenant in the file begins with this sequence."""
    return first_sequence.to_bytes(12, "little")


def unseal(cipher: AESGCM, *, first_sequence: int, tenant_id: bytes, chunk: memoryview) -> bytes:
    """A chunk's lines. Raises `cryptography.exceptions.InvalidTag` under another key, or when it was changed."""
    return cipher.decrypt(nonce_of(first_sequence), chunk, tenant_id)
