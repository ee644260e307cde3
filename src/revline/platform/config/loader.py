"""A folder of YAML to documents and errors. Reads files and nothing else; knows no kind's meaning and no database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from ruamel.yaml.nodes import MappingNode

from revline.core.problem import FieldError
from revline.platform.config.conversion import BAD, Bad, Reader
from revline.platform.config.documents import ConfigDocument, Configuration, document_digest, encode_spec
from revline.platform.config.registry import KindType, Registry
from revline.platform.config.source import FILE_BYTES_MAX, line_of, parse_documents
from revline.platform.store.walls import TENANT_ID_PATTERN

API_VERSION: Final = "revline/v1"
FILES_MAX: Final = 2_000
ERRORS_MAX: Final = 1_000
NAME_PATTERN: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?\Z")


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose document it is and what it is called."""

    name: str
    tenant: str = ""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds. documents: those that could be read. errors: every one, in order of file and line; apply needs none."""

    documents: tuple[ConfigDocument[Any], ...]
    errors: tuple[FieldError, ...]

    def configurations(self) -> dict[str, Configuration]:
        """Each tenant's documents, at version 0."""
        return by_tenant(self.documents)


def load_folder(path: Path, registry: Registry) -> Loaded:
    """Read every .yaml and .yml file under a folder, check each document alone and all of a tenant together.

    Every error names file and line, what is wrong and what to write instead. Hidden files and links out of the folder are not
    read. At most 2,000 files of 1 MiB.
    """
    errors: list[FieldError] = []
    documents: list[ConfigDocument[Any]] = []
    kinds: dict[str, KindType] = {}
    for file, text in _texts(path, errors):
        nodes, broken = parse_documents(text=text, file=file)
        errors.extend(broken)
        for node in nodes:
            document = _document(node, file, registry, errors)
            if document is not None:
                documents.append(document)
                kinds[document.kind] = registry.get(document.kind) or kinds[document.kind]
    unique = _without_duplicates(documents, errors)
    _check_tenants(unique, kinds, errors)
    _check_meaning(unique, kinds, errors)
    if not documents and not errors:
        errors.append(
            FieldError(pointer=f"{path.name}:1", detail="the folder has no document", instead="run revline init")
        )
    return Loaded(documents=tuple(unique), errors=tuple(sorted(errors, key=_place)[:ERRORS_MAX]))


def by_tenant(documents: tuple[ConfigDocument[Any], ...]) -> dict[str, Configuration]:
    """Documents as one configuration for each tenant, in order of tenants."""
    found: dict[str, list[ConfigDocument[Any]]] = {}
    for document in documents:
        found.setdefault(document.tenant, []).append(document)
    return {
        tenant: Configuration(tenant=tenant, version=0, documents=tuple(mine)) for tenant, mine in sorted(found.items())
    }


def _texts(folder: Path, errors: list[FieldError]) -> Iterator[tuple[str, str]]:
    root = folder.resolve()
    if not root.is_dir():
        errors.append(
            FieldError(pointer=f"{folder.name}:1", detail="there is no such folder", instead="run revline init")
        )
        return
    count = 0
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        if (
            path.suffix not in {".yaml", ".yml"}
            or hidden
            or not path.resolve().is_relative_to(root)
            or not path.is_file()
        ):
            continue
        count += 1
        if count > FILES_MAX:
            errors.append(
                FieldError(pointer=f"{relative}:1", detail=f"more than {FILES_MAX} files", instead="fewer files")
            )
            return
        try:
            with path.open("rb") as stream:
                data = stream.read(FILE_BYTES_MAX + 1)
            yield relative.as_posix(), data.decode()
        except (OSError, UnicodeDecodeError):
            detail = "the file can't be read as UTF-8 text"
            errors.append(FieldError(pointer=f"{relative.as_posix()}:1", detail=detail, instead="save it as UTF-8"))


def _document(node: MappingNode, file: str, registry: Registry, errors: list[FieldError]) -> ConfigDocument[Any] | None:
    reader = Reader(file=file)
    try:
        return _read_document(node, reader, registry)
    finally:
        errors.extend(reader.errors)


def _read_document(node: MappingNode, reader: Reader, registry: Registry) -> ConfigDocument[Any] | None:
    entries = reader.entries(node, "the document")
    if isinstance(entries, Bad):
        return None
    keys = ("apiVersion", "kind", "metadata", "spec")
    for key, (key_node, _) in entries.items():
        if key not in keys:
            reader.unknown_key(key_node, key, "the document", keys)
    for key in keys:
        if key not in entries:
            reader.fail(node, f"the document has no {key}", f"{key}: {API_VERSION if key == 'apiVersion' else '...'}")
    if any(key not in entries for key in keys):
        return None
    version, kind_name = (str(entries[key][1].value) for key in ("apiVersion", "kind"))
    if version != API_VERSION:
        reader.fail(entries["apiVersion"][1], f"apiVersion can't be {version[:40]!r}", f"apiVersion: {API_VERSION}")
        return None
    kind = registry.get(kind_name)
    if kind is None:
        reader.unknown_key(entries["kind"][1], kind_name[:40], "kind", registry.names())
        return None
    metadata = _metadata(entries["metadata"][1], reader, kind)
    spec = reader.read(entries["spec"][1], kind.spec_type, "spec")
    if metadata is None or spec is BAD:
        return None
    content = encode_spec(spec)
    digest = document_digest(kind=kind.name, tenant=metadata.tenant, name=metadata.name, content=content)
    return ConfigDocument(
        kind=kind.name,
        tenant=metadata.tenant,
        name=metadata.name,
        spec=spec,
        file=reader.file,
        line=line_of(node),
        digest=digest,
        places=reader.places,
    )


def _metadata(node: Any, reader: Reader, kind: KindType) -> Metadata | None:
    found = reader.read(node, Metadata, "metadata")
    if not isinstance(found, Metadata):
        return None
    if not NAME_PATTERN.match(found.name):
        detail = f"{found.name[:80]!r} is no name"
        reader.fail(node, detail, "name: small letters, digits, - . _ (at most 63), such as north-america")
        return None
    tenant = found.tenant or ("" if kind.tenant_scoped else found.name)
    if not tenant:
        reader.fail(node, f"a {kind.name} belongs to a tenant and names none", "tenant: the name of a Tenant")
        return None
    if not TENANT_ID_PATTERN.fullmatch(tenant) or (not kind.tenant_scoped and tenant != found.name):
        detail = f"{tenant[:80]!r} is no tenant" + ("" if kind.tenant_scoped else "; a Tenant's name is its id")
        reader.fail(node, detail, "a slug of small letters, digits and - (at most 39), such as acme")
        return None
    return Metadata(name=found.name, tenant=tenant)


def _without_duplicates(documents: list[ConfigDocument[Any]], errors: list[FieldError]) -> list[ConfigDocument[Any]]:
    seen: dict[tuple[str, str, str], ConfigDocument[Any]] = {}
    for document in documents:
        key = (document.tenant, document.kind, document.name)
        first = seen.setdefault(key, document)
        if first is not document:
            detail = f"{document.kind} {document.name} stands also at {first.file}:{first.line}"
            errors.append(_at(document, "metadata.name", detail, "another name, or one document"))
    return list(seen.values())


def _check_tenants(documents: list[ConfigDocument[Any]], kinds: dict[str, KindType], errors: list[FieldError]) -> None:
    declared = {document.tenant for document in documents if not kinds[document.kind].tenant_scoped}
    reported: set[str] = set()
    for document in documents:
        if document.tenant not in declared and document.tenant not in reported:
            reported.add(document.tenant)
            known = ", ".join(sorted(declared)) or "none yet; add a document of kind Tenant"
            detail = f"there is no Tenant named {document.tenant}"
            errors.append(_at(document, "metadata.tenant", detail, f"one of: {known}"))


def _check_meaning(documents: list[ConfigDocument[Any]], kinds: dict[str, KindType], errors: list[FieldError]) -> None:
    for configuration in by_tenant(tuple(documents)).values():
        specs = configuration.specs()
        for document in configuration.documents:
            wrong = kinds[document.kind].check(document.name, document.spec, specs)
            errors.extend(_at(document, found.pointer, found.detail, found.instead) for found in wrong)


def _at(document: ConfigDocument[Any], path: str, detail: str, instead: str) -> FieldError:
    return FieldError(pointer=f"{document.file}:{document.line_of(path)}", detail=detail, instead=instead)


def _place(error: FieldError) -> tuple[str, int]:
    file, _, line = error.pointer.rpartition(":")
    return file, int(line)
