"""What a folder can be asked, as data."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Final

from revline.core.documents import DocumentKind
from revline.core.farside import Gotcha, Idempotency, KindCapability, Manifest

WRITE: Final = "write"
ROWS_MAX: Final = 1_000

MANIFEST: Final = Manifest(
    connector="file",
    version="1",
    title="Files in a folder: metered use with control totals",
    kinds=(
        KindCapability(
            kind=DocumentKind.USAGE,
            steps=(WRITE,),
            idempotency=Idempotency.UNIQUE_REFERENCE,
            batch_max=ROWS_MAX,
            reads_entries=False,
        ),
    ),
    effect_bound=timedelta(seconds=60),
    lookup_lag=timedelta(0),
    slots=1,
    bucket_per_second=Decimal(10),
    bucket_burst=10,
    call_timeout=timedelta(seconds=30),
    gotchas=(
        Gotcha(
            title="A file is whole once its control file is there",
            detail="Both appear under their names at once and are never changed. Take a file when its .control.json is there.",
            verified="tested with a writer killed between any two steps",
        ),
        Gotcha(
            title="Control files stay",
            detail="They say what was written, so nothing is written twice. Data files may be moved away; control files may not.",
            verified="tested",
        ),
        Gotcha(
            title="A folder belongs to one connection of one tenant",
            detail="Its files name both; a connection that finds another's files there writes nothing.",
            verified="tested",
        ),
    ),
)
