"""Where a process has its tenants' data keys from: PostgreSQL, wrapped under the key-encryption key that its settings name."""

from __future__ import annotations

import os
import secrets
import time
from typing import Final

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.tenancy.key_encryption import KEK_BYTES, resolve_keys
from revline.platform.tenancy.secrets import SecretResolver
from revline.platform.tenancy.stored_data_keys import StoredDataKeys

OWN_KEY: Final = "key-encryption-key"


def data_keys_of(
    settings: Settings, *, database: Database, secrets_resolver: SecretResolver, clock: Clock
) -> StoredDataKeys | Problem:
    """The data keys of this database, or why they can't be had."""
    reference = settings.key_encryption_key or _own_key(settings)
    if isinstance(reference, Problem):
        return reference
    older = [one.strip() for one in settings.key_encryption_keys_older.split(",") if one.strip()]
    encryption = resolve_keys(secrets_resolver, reference=reference, older=older, random_bytes=os.urandom)
    if isinstance(encryption, Problem):
        return encryption
    return StoredDataKeys(
        database=database, encryption=encryption, clock=clock, random_bytes=os.urandom, seconds=time.monotonic
    )


def _own_key(settings: Settings) -> str | Problem:
    """The reference of a key kept in the data folder, made when there is none; only for a trial."""
    if settings.production:
        return problem(
            "keys.unavailable",
            "REVLINE_KEY_ENCRYPTION_KEY is not set, and production keeps no key beside the data",
            field="REVLINE_KEY_ENCRYPTION_KEY",
        )
    path = settings.data_folder / "secrets" / OWN_KEY
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        if not path.exists():
            new.touch(mode=0o600)
            new.write_text(secrets.token_hex(KEK_BYTES))
            os.link(new, path)  # whole at once, and only where nobody else was first
    except FileExistsError:
        pass
    finally:
        new.unlink(missing_ok=True)
    return f"secret://file/{OWN_KEY}"
