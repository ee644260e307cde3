"""Usage that is not sealed yet, read from the log of a shard another process of this machine owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from revline.core.problem import Problem, ProblemError
from revline.platform.tenancy.data_keys import DataKeys
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.log.reading import read_tail
from revline.subledger.usage.log.rows import to_table
from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.tail import TailRows


class LogTail:
    """The tail of one shard. types_of: a tenant's catalogue, which may ask a database."""

    follows = False

    def __init__(
        self, *, folder: Path, shard: int, keys: DataKeys, types_of: Callable[[str], TypeCatalogue | Problem]
    ) -> None:
        self._folder, self._shard, self._keys, self._types_of = folder, shard, keys, types_of

    def after(self, *, tenant_id: str, sealed: Mapping[int, int]) -> TailRows:
        """As `TailSource` says. Raises ProblemError when the log or the tenant's types can't be read."""
        types = self._types_of(tenant_id)
        if isinstance(types, Problem):
            raise ProblemError(types)
        through = sealed.get(self._shard, 0)
        batches = read_tail(self._folder, tenant_id=tenant_id, after=through, keys=self._keys, types=types)
        if isinstance(batches, Problem):
            raise ProblemError(batches)
        batches = [one for one in batches if one.count]
        if not batches:
            return TailRows(table=None, through={self._shard: through} if through else {})
        table = plain_table([to_table(batches)])
        return TailRows(table=table, through={self._shard: max(one.last_sequence for one in batches)})
