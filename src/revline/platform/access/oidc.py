"""Log-in through an OpenID Connect provider: authorization code with PKCE, state and nonce (OpenID Connect Core 3.1; RFC 7636).

The provider proves who somebody is; what they may do is decided by grants, and by groups where the settings map them. Takes its
HTTP client, clock and randomness from outside. Knows no cookie and no route.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx2
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, insert

from revline.core.clock import Clock
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.core.secret import Secret
from revline.platform.access.people import EMAIL
from revline.platform.access.roles import Role
from revline.platform.access.tables import login_request
from revline.platform.store.engine import Database

ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures only, and none with a shared secret: whoever may log in must not be able to sign."""
REQUEST_LIFE: Final = timedelta(minutes=10)
DOCUMENT_LIFE: Final = timedelta(hours=1)
SKEW_SECONDS: Final = 60
ANSWER_BYTES_MAX: Final = 1024 * 1024
GROUPS_MAX: Final = 500
FIELD_LENGTH_MAX: Final = 255


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the provider is reached. redirect_uri: where it sends people back to. groups_claim: the claim that names a person's
    groups, "" for none. grants: group -> (role, tenant id or "*")."""

    issuer: str
    client_id: str
    client_secret: Secret
    redirect_uri: str
    groups_claim: str = ""
    grants: Mapping[str, tuple[tuple[Role, str], ...]] = {}


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """Who the provider says somebody is. email: "" unless it is verified. grants: by its groups; None: groups are not used."""

    issuer: str
    subject: str
    email: str
    name: str
    grants: frozenset[tuple[Role, str]] | None
    return_to: str


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send somebody who wants to log in. state: for a cookie that binds the way back to their browser."""

    url: str
    state: str


class IdentityProvider:
    """One provider. Its metadata and keys are read when first needed and kept for an hour."""

    def __init__(
        self,
        *,
        settings: ProviderSettings,
        database: Database,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        http: httpx2.Client,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes
        self._http = http
        self._kept: dict[str, tuple[datetime, Any]] = {}

    @property
    def title(self) -> str:
        """The provider's host, for the button."""
        return urlsplit(self._settings.issuer).hostname or "the identity provider"

    def depart(self, *, return_to: str) -> Departure | Problem:
        """Begins a log-in; `access.provider_failed` when the provider can't be reached."""
        metadata = self._metadata()
        if isinstance(metadata, Problem):
            return metadata
        state, nonce, verifier = (_text(self._random_bytes(32)) for _ in range(3))
        now = self._clock.now()
        with self._database.control() as connection:
            connection.execute(delete(login_request).where(login_request.c.created_at <= now - REQUEST_LIFE))
            connection.execute(
                insert(login_request).values(
                    state_digest=_digest(state), nonce=nonce, verifier=verifier, return_to=return_to, created_at=now
                )
            )
        challenge = _text(hashlib.sha256(verifier.encode()).digest())
        scope = "openid email profile"
        query = {
            "response_type": "code", "client_id": self._settings.client_id, "scope": scope, "state": state, "nonce": nonce,
            "redirect_uri": self._settings.redirect_uri, "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        endpoint = str(metadata["authorization_endpoint"])
        return Departure(url=f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", state=state)

    def arrive(self, *, query: Mapping[str, str], state: str) -> Proved | Problem:
        """Ends a log-in with what the provider sent back. state: of the browser's cookie. A request counts once."""
        given = query.get("state", "")
        if not state or not hmac.compare_digest(given.encode(), state.encode()):
            return _refused("the way back does not belong to this browser; start again")
        asked = self._take(state)
        if asked is None:
            return _refused("the log-in took too long or was used already; start again")
        if query.get("iss", self._settings.issuer) != self._settings.issuer:
            return _refused("the answer came from another issuer")
        if "error" in query or not query.get("code"):
            return _refused("the identity provider did not let this person in")
        tokens = self._tokens(query["code"], str(asked["verifier"]))
        if isinstance(tokens, Problem):
            return tokens
        claims = self._claims(tokens, str(asked["nonce"]))
        if isinstance(claims, Problem):
            return claims
        return self._proved(self._with_profile(claims, tokens), str(asked["return_to"]))

    def _take(self, state: str) -> Mapping[str, Any] | None:
        now = self._clock.now()
        statement = delete(login_request).where(login_request.c.state_digest == _digest(state)).returning(login_request)
        with self._database.control() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None or now - row["created_at"] > REQUEST_LIFE:
            return None
        return {str(key): value for key, value in row.items()}

    def _tokens(self, code: str, verifier: str) -> Mapping[str, Any] | Problem:
        metadata = self._metadata()
        if isinstance(metadata, Problem):
            return metadata
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": self._settings.redirect_uri,
            "code_verifier": verifier,
        }  # fmt: skip
        secret = self._settings.client_secret.reveal()
        basic = "client_secret_basic" in metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        auth = (
            httpx2.BasicAuth(quote(self._settings.client_id, safe=""), quote(secret, safe=""))
            if secret and basic
            else None
        )
        if auth is None:
            form |= {"client_id": self._settings.client_id} | ({"client_secret": secret} if secret else {})
        try:
            answer = self._http.post(str(metadata["token_endpoint"]), data=form, auth=auth or httpx2.USE_CLIENT_DEFAULT)
        except httpx2.HTTPError as error:
            return _failed(f"its token endpoint could not be reached ({type(error).__name__})")
        found = _object(answer)
        if answer.status_code != 200 or not isinstance(found.get("id_token"), str):
            return _refused("the identity provider did not accept the code")
        return found

    def _claims(self, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any] | Problem:
        for fresh in (False, True):
            keys = self._keys(fresh=fresh)
            if isinstance(keys, Problem):
                return keys
            try:
                token = jwt.decode(tokens["id_token"], keys, algorithms=ALGORITHMS)
            except (JoseError, ValueError, KeyError):
                continue
            return self._checked(token.claims, nonce)
        return _refused("the identity could not be proved by the provider's keys")

    def _checked(self, claims: Mapping[str, Any], nonce: str) -> Mapping[str, Any] | Problem:
        """The checks of an ID token in OpenID Connect Core 3.1.3.7."""
        now = int(self._clock.now().timestamp())
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, issued = claims.get("exp"), claims.get("iat")
        right = (
            claims.get("iss") == self._settings.issuer
            and self._settings.client_id in audiences
            and claims.get("azp", self._settings.client_id) == self._settings.client_id
            and (len(audiences) == 1 or "azp" in claims)
            and isinstance(expires, (int, float))
            and now < expires + SKEW_SECONDS
            and isinstance(issued, (int, float))
            and issued <= now + SKEW_SECONDS
            and hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
            and isinstance(claims.get("sub"), str)
            and 0 < len(claims["sub"]) <= FIELD_LENGTH_MAX
        )
        return claims if right else _refused("the proof of identity is not meant for this log-in")

    def _with_profile(self, claims: Mapping[str, Any], tokens: Mapping[str, Any]) -> Mapping[str, Any]:
        """Claims with those of the userinfo endpoint where the token itself names no e-mail (5.3.2: only for the same subject)."""
        metadata = self._metadata()
        token = tokens.get("access_token")
        if "email" in claims or isinstance(metadata, Problem) or not isinstance(token, str):
            return claims
        url = metadata.get("userinfo_endpoint")
        if not isinstance(url, str):
            return claims
        try:
            found = _object(self._http.get(url, headers={"authorization": f"Bearer {token}"}))
        except httpx2.HTTPError:
            return claims
        return {**found, **claims} if found.get("sub") == claims["sub"] else claims

    def _proved(self, claims: Mapping[str, Any], return_to: str) -> Proved:
        email = str(claims.get("email") or "").strip().lower()
        verified = claims.get("email_verified") is True and bool(EMAIL.match(email))
        name = str(claims.get("name") or claims.get("preferred_username") or email.partition("@")[0] or "Unnamed")
        grants: frozenset[tuple[Role, str]] | None = None
        if self._settings.groups_claim:
            groups = claims.get(self._settings.groups_claim)
            named = [str(one) for one in groups[:GROUPS_MAX]] if isinstance(groups, list) else []
            grants = frozenset(grant for group in named for grant in self._settings.grants.get(group, ()))
        return Proved(
            issuer=self._settings.issuer,
            subject=str(claims["sub"]),
            email=email if verified else "",
            name=name[:200],
            grants=grants,
            return_to=return_to,
        )

    def _metadata(self) -> Mapping[str, Any] | Problem:
        base = self._settings.issuer.rstrip("/")
        found = self._document("metadata", f"{base}/.well-known/openid-configuration", fresh=False)
        if isinstance(found, Problem):
            return found
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if found.get("issuer") != self._settings.issuer or not all(isinstance(found.get(one), str) for one in needed):
            return _failed("its metadata names another issuer or lacks an endpoint")
        return found

    def _keys(self, *, fresh: bool) -> KeySet | Problem:
        metadata = self._metadata()
        if isinstance(metadata, Problem):
            return metadata
        found = self._document("keys", str(metadata["jwks_uri"]), fresh=fresh)
        if isinstance(found, Problem):
            return found
        try:
            keys: Any = found
            return KeySet.import_key_set(keys)
        except (JoseError, ValueError, KeyError, TypeError):
            return _failed("its keys can't be read")

    def _document(self, name: str, url: str, *, fresh: bool) -> Mapping[str, Any] | Problem:
        now = self._clock.now()
        kept = self._kept.get(name)
        if kept is not None and not fresh and now - kept[0] < DOCUMENT_LIFE:
            known: Mapping[str, Any] = kept[1]
            return known
        try:
            answer = self._http.get(url)
        except httpx2.HTTPError as error:
            return _failed(f"it could not be reached ({type(error).__name__})")
        found = _object(answer)
        if answer.status_code != 200 or not found:
            return _failed(f"it answered {answer.status_code} for its {name}")
        self._kept[name] = (now, found)
        return found


def _object(answer: httpx2.Response) -> dict[str, Any]:
    if len(answer.content) > ANSWER_BYTES_MAX:
        return {}
    try:
        found = msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode()).digest()


def _refused(detail: str) -> Problem:
    return problem("access.login_refused", detail)


def _failed(detail: str) -> Problem:
    return problem("access.provider_failed", f"the identity provider can't be used: {detail}")


define(
    code="access.provider_failed",
    title="The identity provider can't be used",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Check REVLINE_OIDC_ISSUER and that the provider answers; a password still lets people in who have one.",
)
define(
    code="access.no_grant",
    title="Known, but without a role here",
    status=403,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Ask an administrator for a role: `revline users grant EMAIL --role auditor --tenant NAME`.",
)
