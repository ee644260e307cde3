"""The simulated account in a process of its own: `python -m revline.connectors.netsuite.simulator.server --data FOLDER`.

Knows its credentials and its command line; what a call means is `account`.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from revline.connectors.netsuite.simulator.account import BODY_BYTES_MAX, SimulatedAccount
from revline.connectors.netsuite.simulator.calls import call_of, refusal_answer
from revline.connectors.netsuite.simulator.tokens import Certificate
from revline.connectors.netsuite.simulator.values import Refusal
from revline.connectors.sdk.rehearsal_server import (
    EffectsServer,
    LoopbackServer,
    announce,
    until_signalled,
    write_private,
)
from revline.core.clock import SystemClock

CLIENT_ID: Final = "rehearsal-client"
CERTIFICATE_ID: Final = "rehearsal-certificate"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What one account's integration is called by and signs with, kept in its folder so that a restart honours them."""

    control_token: str
    client_id: str
    certificate_id: str
    private_key: str
    public_key: str


def credentials_of(*, folder: Path) -> Credentials:
    """The credentials in the folder, made at the first start. Readable by their owner only."""
    path = folder / "credentials.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = Credentials(
        control_token=secrets.token_urlsafe(24),
        client_id=CLIENT_ID,
        certificate_id=CERTIFICATE_ID,
        private_key=private.decode(),
        public_key=public.decode(),
    )
    write_private(path=path, data=msgspec.json.encode(made))
    return made


async def run(*, folder: Path, port: int, ready_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT."""
    credentials = credentials_of(folder=folder)
    account = SimulatedAccount(clock=SystemClock(), control_token=credentials.control_token, folder=folder)
    certificate = Certificate(
        id=credentials.certificate_id, client_id=credentials.client_id, public_key=credentials.public_key
    )
    account.tokens.certificates[certificate.id] = certificate
    server = LoopbackServer(
        handle=EffectsServer(system=account, read=call_of).handle,
        body_bytes_max=2 * BODY_BYTES_MAX,
        malformed=refusal_answer(Refusal("This is not a request.", code="INVALID_REQUEST")),
        content_type="application/vnd.oracle.resource+json",
    )

    def tell(bound: int) -> None:
        announce(port=bound, facts={}, secrets=msgspec.structs.asdict(credentials), ready_file=ready_file)

    try:
        await server.serve(port=port, stopping=until_signalled(), tell=tell)
    finally:
        if account.file is not None:
            account.file.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated NetSuite account on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the append-only file and the credentials")
    parser.add_argument("--ready-file", type=Path, help="written once it listens: address, process id, credentials")
    options = parser.parse_args(arguments)
    asyncio.run(run(folder=options.data, port=options.port, ready_file=options.ready_file))


if __name__ == "__main__":
    main()
