"""A provider that lies, or is lied about: what a token must say and who must have signed it, one wrong thing at a time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from revline.core.problem import Problem
from revline.core.secret import Secret
from revline.platform.access.oidc import IdentityProvider, Proved, ProviderSettings
from revline.platform.access.roles import Role
from revline.platform.store.engine import Database
from tests.integration.console.conftest import NOON, MovingClock

ISSUER = "https://identity.example"
CLIENT = "revline"
KEY = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig", "alg": "RS256"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "one"})
NOW = int(NOON.timestamp())


class Liar:
    """A provider whose token, metadata and user info a test changes. asked: what was sent to its token endpoint."""

    def __init__(self) -> None:
        self.token: Callable[[Mapping[str, Any]], str] = signed
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.info: dict[str, Any] = {}
        self.nonce = ""
        self.asked: dict[str, list[str]] = {}

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/.well-known/openid-configuration":
            names = {
                "authorization": "authorization_endpoint",
                "token": "token_endpoint",
                "userinfo": "userinfo_endpoint",
            }
            found = {
                "issuer": ISSUER,
                "jwks_uri": f"{ISSUER}/keys",
                **{name: f"{ISSUER}/{at}" for at, name in names.items()},
            }
            return httpx2.Response(200, json={**found, **self.metadata})
        if path == "/keys":
            return httpx2.Response(200, json={"keys": [KEY.as_dict(private=False)]})
        if path == "/userinfo":
            return httpx2.Response(200, json=self.info)
        self.asked = parse_qs(request.content.decode())
        claims = {
            "iss": ISSUER, "aud": CLIENT, "sub": "ada", "exp": NOW + 300, "iat": NOW, "nonce": self.nonce,
            "email": "ada@example.com", "email_verified": True, "groups": ["fin"], **self.claims,
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        return httpx2.Response(200, json={"id_token": self.token(kept), "access_token": "at", "token_type": "Bearer"})


def signed(claims: Mapping[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, dict(claims), KEY)


def by_another(claims: Mapping[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, dict(claims), OTHER)


def unsigned(claims: Mapping[str, Any]) -> str:
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def with_the_public_key_as_secret(claims: Mapping[str, Any]) -> str:
    text = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
    tag = hmac.new(KEY.as_pem(private=False), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(tag).decode().rstrip('=')}"


def _part(values: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(dict(values))).decode().rstrip("=")


def with_the_clients_secret(claims: Mapping[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, dict(claims), OctKey.import_key("the secret of the client, long enough"))


def bringing_its_own_key(claims: Mapping[str, Any]) -> str:
    header = {"alg": "RS256", "jwk": OTHER.as_dict(private=False), "jku": "https://evil.example/keys"}
    return jwt.encode(header, dict(claims), OTHER)


def with_another_payload(claims: Mapping[str, Any]) -> str:
    head, _, tail = signed(claims).split(".")
    return f"{head}.{signed({**claims, 'sub': 'eve'}).split('.')[1]}.{tail}"


@pytest.fixture
def liar() -> Liar:
    return Liar()


@pytest.fixture
def log_in(database: Database, liar: Liar) -> Callable[..., Proved | Problem]:
    clock = MovingClock()
    counter = iter(range(1, 1_000))
    provider = IdentityProvider(
        settings=ProviderSettings(
            issuer=ISSUER,
            client_id=CLIENT,
            client_secret=Secret("the secret of the client, long enough"),
            redirect_uri="https://revline.example/login/return",
            groups_claim="groups",
            grants={"fin": ((Role.FINANCE, "beta"),)},
        ),
        database=database,
        clock=clock,
        random_bytes=lambda count: next(counter).to_bytes(count, "big"),
        http=httpx2.Client(transport=httpx2.MockTransport(liar)),
    )

    def go(*, minutes: int = 0, **query: str) -> Proved | Problem:
        left = provider.depart(return_to="/")
        if isinstance(left, Problem):
            return left
        asked = parse_qs(urlsplit(left.url).query)
        liar.nonce = asked["nonce"][0]
        clock.move(minutes=minutes)
        return provider.arrive(query={"code": "c", "state": left.state, **query}, state=left.state)

    return go


def test_an_honest_provider_is_believed(log_in: Callable[..., Proved | Problem], liar: Liar) -> None:
    found = log_in(iss=ISSUER)
    assert isinstance(found, Proved), found
    assert (found.subject, found.email, found.grants) == ("ada", "ada@example.com", {(Role.FINANCE, "beta")})
    assert len(liar.asked["code_verifier"][0]) >= 43


@pytest.mark.parametrize(
    "token",
    [by_another, unsigned, with_the_public_key_as_secret, with_the_clients_secret, bringing_its_own_key, with_another_payload,
     lambda claims: "", lambda claims: "a.b.c", lambda claims: "x" * 100_000],
)  # fmt: skip
def test_nobody_else_s_signature_counts(log_in: Callable[..., Proved | Problem], liar: Liar, token: Any) -> None:
    liar.token = token
    found = log_in()
    assert isinstance(found, Problem)
    assert found.code == "access.login_refused"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"}, {"iss": f"{ISSUER}/"}, {"iss": None}, {"aud": "another"}, {"aud": None},
        {"aud": ["revline", "another"]}, {"aud": ["revline", "another"], "azp": "another"}, {"azp": "another"}, {"aud": []},
        {"exp": NOW - 61}, {"exp": None}, {"exp": "9999999999"}, {"iat": NOW + 3_600}, {"iat": None}, {"nonce": "another"},
        {"nonce": None}, {"nonce": ""}, {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}, {"aud": {"revline": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_for_somebody_or_something_else_is_refused(
    log_in: Callable[..., Proved | Problem], liar: Liar, claims: dict[str, Any]
) -> None:
    liar.claims = claims
    found = log_in()
    assert isinstance(found, Problem)
    assert found.code == "access.login_refused"


@pytest.mark.parametrize("verified", [False, None, "true", 1, "yes"])
def test_an_e_mail_that_is_not_verified_is_none(
    log_in: Callable[..., Proved | Problem], liar: Liar, verified: Any
) -> None:
    liar.claims = {"email_verified": verified}
    found = log_in()
    assert isinstance(found, Proved)
    assert found.email == ""


def test_user_info_of_another_subject_is_not_taken(log_in: Callable[..., Proved | Problem], liar: Liar) -> None:
    liar.claims = {"email": None, "groups": None}
    liar.info = {"sub": "eve", "email": "ada@example.com", "email_verified": True, "groups": ["fin"]}
    found = log_in()
    assert isinstance(found, Proved)
    assert (found.email, found.grants) == ("", frozenset())
    liar.info["sub"] = "ada"
    same = log_in()
    assert isinstance(same, Proved)
    assert same.email == "ada@example.com"


def test_groups_that_are_no_list_give_nothing(log_in: Callable[..., Proved | Problem], liar: Liar) -> None:
    for groups in ("fin", {"fin": 1}, None, [["fin"]], 7):
        liar.claims = {"groups": groups}
        found = log_in()
        assert isinstance(found, Proved)
        assert found.grants == frozenset()


def test_an_answer_of_another_provider_is_refused(log_in: Callable[..., Proved | Problem], liar: Liar) -> None:
    for query in ({"iss": "https://evil.example"}, {"error": "access_denied"}, {"code": ""}, {"state": "another"}):
        found = log_in(**query)
        assert isinstance(found, Problem), query
        assert liar.asked == {}, "no code was sent anywhere"
    assert isinstance(log_in(minutes=11), Problem), "too late"


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://evil.example"}, {"token_endpoint": None}, {"jwks_uri": 7}, {"issuer": f"{ISSUER}/"}],
)
def test_metadata_of_another_issuer_is_refused(
    log_in: Callable[..., Proved | Problem], liar: Liar, metadata: dict[str, Any]
) -> None:
    liar.metadata = metadata
    found = log_in()
    assert isinstance(found, Problem)
    assert found.code == "access.provider_failed"
    assert msgspec.json.encode(found).count(b"secret of the client") == 0
