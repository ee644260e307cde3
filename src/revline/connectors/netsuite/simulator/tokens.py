"""Access tokens of the simulated account: OAuth 2.0 client credentials with a signed assertion, verified by public key."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LIFE_MAX: Final = timedelta(minutes=60)
SKEW: Final = timedelta(minutes=5)


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An integration's mapped certificate. public_key: PEM. id: what a header's `kid` names."""

    id: str
    client_id: str
    public_key: str


class Tokens:
    """Certificates, and the tokens given out."""

    def __init__(self) -> None:
        self.certificates: dict[str, Certificate] = {}
        self.issued = 0
        self.last = ""
        self._valid: dict[str, datetime] = {}

    def issue(
        self, *, form: bytes, token_url: str, now: datetime, life: timedelta, scope_form: str
    ) -> tuple[int, dict[str, Any]]:
        """Status and body of the token address's answer."""
        fields = {
            name: values[0] for name, values in parse_qs(form.decode("ascii", "replace"), max_num_fields=20).items()
        }
        if fields.get("grant_type") != "client_credentials" or fields.get("client_assertion_type") != ASSERTION_TYPE:
            return 400, {"error": "unsupported_grant_type"}
        why = self._refused(fields.get("client_assertion", ""), token_url, now, scope_form)
        if why:
            return 400, {"error": why}
        token = secrets.token_urlsafe(32)
        self.issued += 1
        self.last = token
        self._valid = {known: until for known, until in self._valid.items() if until > now}
        self._valid[token] = now + life
        return 200, {"access_token": token, "expires_in": int(life.total_seconds()), "token_type": "Bearer"}

    def valid(self, *, token: str, now: datetime) -> bool:
        """Whether a call may come in with this token."""
        until = self._valid.get(token)
        return until is not None and now < until

    def revoke_all(self) -> None:
        """Every token given out is stale from now on."""
        self._valid = {}

    def _refused(self, assertion: str, token_url: str, now: datetime, scope_form: str) -> str:
        try:
            header = msgspec.json.decode(_base64(assertion.split(".", maxsplit=1)[0]))
            certificate = self.certificates[header["kid"]]
            kind = ECKey if header["alg"].startswith("ES") else RSAKey
            claims = jwt.decode(assertion, kind.import_key(certificate.public_key), algorithms=list(ALGORITHMS)).claims
            issued = datetime.fromtimestamp(claims["iat"], tz=now.tzinfo)
            expires = datetime.fromtimestamp(claims["exp"], tz=now.tzinfo)
        except (JoseError, KeyError, TypeError, ValueError, OSError, OverflowError, msgspec.MsgspecError):
            return "invalid_client"
        scope = claims.get("scope")
        wanted = {"array": list, "comma": str}.get(scope_form, object)
        if not isinstance(scope, wanted):
            return "invalid_scope"
        named = scope if isinstance(scope, list) else str(scope).split(",")
        if "rest_webservices" not in named:
            return "invalid_scope"
        if claims.get("iss") != certificate.client_id or claims.get("aud") != token_url:
            return "invalid_client"
        in_time = issued <= now + SKEW and now < expires and expires - issued < LIFE_MAX
        return "" if in_time else "invalid_grant"


def _base64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
