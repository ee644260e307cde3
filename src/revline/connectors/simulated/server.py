"""The simulated ERP in a process of its own: `python -m revline.connectors.simulated.server --data FOLDER --mode unique`.

Knows its tokens and its command line; what a call means is `simulator`.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from revline.connectors.sdk.rehearsal_server import (
    EffectsServer,
    LoopbackServer,
    announce,
    until_signalled,
    write_private,
)
from revline.connectors.simulated import wire
from revline.connectors.simulated.calls import Call, call_of, refusal
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.simulator import Simulator
from revline.core.clock import SystemClock


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The two tokens of one ERP, kept in its folder so that a restart honours them."""

    token: str
    control_token: str


def tokens_of(*, folder: Path) -> Tokens:
    """The tokens in the folder, made at the first start. Readable by their owner only."""
    path = folder / "tokens.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Tokens)
    folder.mkdir(parents=True, exist_ok=True)
    tokens = Tokens(token=secrets.token_urlsafe(24), control_token=secrets.token_urlsafe(24))
    write_private(path=path, data=msgspec.json.encode(tokens))
    return tokens


async def run(*, folder: Path, mode: Mode, port: int, ready_file: Path | None, setup_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT."""
    tokens = tokens_of(folder=folder)
    simulator = Simulator(
        mode=mode, clock=SystemClock(), token=tokens.token, control_token=tokens.control_token, folder=folder
    )
    if setup_file is not None and not simulator.ledger.companies:
        _set_up(simulator, setup_file.read_bytes())
    server = LoopbackServer(
        handle=EffectsServer(system=simulator, read=call_of).handle,
        body_bytes_max=2 * wire.BODY_BYTES_MAX,
        malformed=refusal(400, "malformed", "this is not a request"),
    )

    def tell(bound: int) -> None:
        announce(port=bound, facts={"mode": mode.value}, secrets=msgspec.structs.asdict(tokens), ready_file=ready_file)

    try:
        await server.serve(port=port, stopping=until_signalled(), tell=tell)
    finally:
        if simulator.file is not None:
            simulator.file.close()


def _set_up(simulator: Simulator, data: bytes) -> None:
    call = Call(method="POST", path="/control/setup", token=simulator.control_token, body=data)
    arrival = simulator.arrive(call=call)
    answer = simulator.process(arrival=arrival)
    simulator.leave(arrival=arrival, client_gone=False)
    if answer.status != 200:
        raise SystemExit(f"the set-up file was refused: {answer.body.decode()}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated cloud ERP on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the append-only file and the tokens")
    parser.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.UNIQUE.value)
    parser.add_argument("--ready-file", type=Path, help="written once it listens: address, process id, tokens")
    parser.add_argument("--setup", type=Path, help="JSON of companies, taken when the folder holds none yet")
    options = parser.parse_args(arguments)
    asyncio.run(
        run(
            folder=options.data,
            mode=Mode(options.mode),
            port=options.port,
            ready_file=options.ready_file,
            setup_file=options.setup,
        )
    )


if __name__ == "__main__":
    main()
