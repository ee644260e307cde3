"""The simulated account inside the caller's process, behind httpx2's transport: no socket, no waiting, every fault.

What would take longer than the caller's read time-out raises it at once; a call that was to wait before its effect is kept in
`late` and takes effect when `settle` is called, as a request does that a far side still works on after it was given up.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs

import httpx2

from revline.connectors.netsuite.simulator.account import SimulatedAccount
from revline.connectors.netsuite.simulator.calls import Answer, Arrival, Call


class AccountTransport(httpx2.AsyncBaseTransport):
    """Carries an AsyncClient's requests to a SimulatedAccount. reachable: False refuses connections."""

    def __init__(self, *, account: SimulatedAccount) -> None:
        self.account = account
        self.reachable = True
        self.late: list[Arrival] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request. Raises what a real connection would."""
        if not self.reachable:
            raise httpx2.ConnectError("connection refused", request=request)
        body = await request.aread()
        arrival = self.account.arrive(call=_call(request, body))
        patience = timedelta(seconds=request.extensions.get("timeout", {}).get("read") or 3_600)
        if arrival.wait_before >= patience:
            self.late.append(arrival)
            raise httpx2.ReadTimeout("no answer in time", request=request)
        answer = self._finish(arrival)
        if answer.lost:
            raise httpx2.RemoteProtocolError("server disconnected without sending a response", request=request)
        if arrival.wait_before + arrival.wait_after >= patience:
            raise httpx2.ReadTimeout("no answer in time", request=request)
        return httpx2.Response(answer.status, headers=list(answer.headers), content=answer.body, request=request)

    def settle(self) -> int:
        """Let every late call take effect; how many there were."""
        late, self.late = self.late, []
        for arrival in late:
            self._finish(arrival)
        return len(late)

    def _finish(self, arrival: Arrival) -> Answer:
        try:
            answer = self.account.process(arrival=arrival)
            if self.account.file is not None:
                self.account.file.sync()
        finally:
            self.account.leave(arrival=arrival, client_gone=False)
        return answer


def _call(request: httpx2.Request, body: bytes) -> Call:
    query = parse_qs(request.url.query.decode("ascii"), max_num_fields=200)
    port = f":{request.url.port}" if request.url.port else ""
    return Call(
        method=request.method,
        base_url=f"{request.url.scheme}://{request.url.host}{port}",
        path=request.url.path,
        query={name: tuple(values) for name, values in query.items()},
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
