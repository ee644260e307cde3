"""The access token: no refusal shows it, should Salesforce repeat it, and no other host is sent it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from simple_salesforce.exceptions import SalesforceMalformedRequest

from revline.connectors.salesforce.client import Failure, SalesforceClient
from revline.connectors.salesforce.login import CLIENT_CREDENTIALS, Login
from revline.connectors.sdk.http import HttpCaller
from revline.core.clock import SystemClock

TOKEN = "00D5g00000AbCdE!AQEAQ.canary9f3a"
SECRET = "consumer-canary-secret"


def logged_in(instance: str = "acme.my.salesforce.com") -> SalesforceClient:
    login = Login(method=CLIENT_CREDENTIALS, domain="acme.my", consumer_key="key", consumer_secret=SECRET)
    caller = HttpCaller(
        base_url="https://acme.my.salesforce.com",
        transport=None,
        headers={},
        secrets=login.secrets(),
        call_timeout=timedelta(seconds=1),
    )
    client = SalesforceClient(login=login, caller=caller, clock=SystemClock(), api_version="64.0")
    made: Any = SimpleNamespace(session_id=TOKEN, sf_instance=instance, api_usage={})
    client._salesforce = made
    return client


def test_a_refusal_that_repeats_the_token_is_masked() -> None:
    client = logged_in()

    def refused(_: Any) -> Any:
        said = [{"errorCode": "MALFORMED_QUERY", "message": f"no field {TOKEN} for {SECRET}"}]
        raise SalesforceMalformedRequest("https://acme.my.salesforce.com/q", 400, "query", said)

    found = asyncio.run(client.run(refused))
    assert isinstance(found, Failure)
    assert found.code == "MALFORMED_QUERY"
    assert TOKEN not in found.message
    assert SECRET not in found.message


@pytest.mark.parametrize(
    "instance",
    ["evil.example", "evil.example/.salesforce.com", "evil.example#.salesforce.com", "a@evil.example",
     "salesforce.com.evil.example", "evil.example?x=.salesforce.com", "u:p@acme.my.salesforce.com", ""],
)  # fmt: skip
def test_a_host_that_is_none_of_salesforces_is_sent_no_token(instance: str) -> None:
    assert isinstance(asyncio.run(logged_in(instance).credentials()), Failure)


def test_salesforces_own_host_is() -> None:
    assert asyncio.run(logged_in().credentials()) == ("acme.my.salesforce.com", TOKEN)
