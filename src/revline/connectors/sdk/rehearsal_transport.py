"""A simulated system inside the caller's process, behind httpx2's transport: no socket, no waiting, every fault.

What would take longer than the caller's read time-out raises it at once; a call that was to wait before its effect is kept in
`late` and takes effect when `settle` is called, as a request does that a far side still works on after it was given up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Generic

import httpx2

from revline.connectors.sdk.rehearsal_calls import Answer, ArrivalT, CallT_contra, Request, SimulatedSystem

PATIENCE_SECONDS = 3_600


class RehearsalTransport(httpx2.AsyncBaseTransport, Generic[CallT_contra, ArrivalT]):
    """Carries an AsyncClient's requests to a simulated system. reachable: False refuses connections."""

    def __init__(
        self, *, system: SimulatedSystem[CallT_contra, ArrivalT], read: Callable[[Request], CallT_contra]
    ) -> None:
        self._system, self._read = system, read
        self.reachable = True
        self.late: list[ArrivalT] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request. Raises what a real connection would."""
        if not self.reachable:
            raise httpx2.ConnectError("connection refused", request=request)
        body = await request.aread()
        arrival = self._system.arrive(call=self._read(_request(request, body)))
        patience = timedelta(seconds=request.extensions.get("timeout", {}).get("read") or PATIENCE_SECONDS)
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

    def _finish(self, arrival: ArrivalT) -> Answer:
        try:
            answer = self._system.process(arrival=arrival)
            if self._system.file is not None:
                self._system.file.sync()
        finally:
            self._system.leave(arrival=arrival, client_gone=False)
        return answer


def _request(request: httpx2.Request, body: bytes) -> Request:
    port = f":{request.url.port}" if request.url.port else ""
    return Request(
        method=request.method,
        base_url=f"{request.url.scheme}://{request.url.host}{port}",
        target=request.url.raw_path.decode("ascii"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
    )
