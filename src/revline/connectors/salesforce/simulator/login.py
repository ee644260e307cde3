"""Log-in to the simulated org: JWT bearer and client credentials, tokens that run out. Knows no HTTP.

Source: "OAuth 2.0 JWT Bearer Flow" and "OAuth 2.0 Client Credentials Flow"; error words as documented there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from revline.core.clock import Clock

BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES: Final = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})


class Logins:
    """Who may log in and which tokens hold. public_key: PEM of the connected app's certificate key, "" takes no assertions."""

    def __init__(
        self,
        *,
        clock: Clock,
        consumer_key: str,
        consumer_secret: str,
        username: str = "",
        public_key: str = "",
        lifetime: timedelta = timedelta(hours=2),
    ) -> None:
        self._clock = clock
        self._consumer_key = consumer_key
        self._consumer_secret = consumer_secret
        self._username = username
        self._public_key = public_key
        self._lifetime = lifetime
        self._until: dict[str, datetime] = {}
        self._made = 0

    def token(self, *, form: Mapping[str, str], host: str) -> tuple[int, dict[str, Any]]:
        """The answer to a token request: status and body."""
        match form.get("grant_type", ""):
            case "client_credentials":
                right = hmac.compare_digest(
                    f"{form.get('client_id', '')}:{form.get('client_secret', '')}".encode(),
                    f"{self._consumer_key}:{self._consumer_secret}".encode(),
                )
                refusal = "" if right else "invalid client credentials"
                error = "invalid_client"
            case grant if grant == BEARER:
                refusal, error = self._refusal(form.get("assertion", "")), "invalid_grant"
            case _:
                refusal, error = "grant type not supported", "unsupported_grant_type"
        if refusal:
            return 400, {"error": error, "error_description": refusal}
        self._made += 1
        made = hashlib.sha256(f"{self._consumer_secret}{self._made}".encode()).hexdigest()
        access = f"00D000000000001!{made[:40]}"
        self._until[access] = self._clock.now() + self._lifetime
        return 200, {
            "access_token": access,
            "instance_url": f"https://{host}",
            "id": "https://login.salesforce.com/id/00D000000000001AAA/005000000000001AAA",
            "token_type": "Bearer",
            "scope": "api",
        }

    def holds(self, *, token: str) -> bool:
        """Whether an access token is one of ours and has not run out."""
        until = self._until.get(token)
        return until is not None and self._clock.now() < until

    def expire_all(self) -> None:
        """Every token runs out now."""
        self._until.clear()

    def _refusal(self, assertion: str) -> str:
        if not self._public_key:
            return "user hasn't approved this consumer"
        try:
            claims = jwt.decode(assertion, RSAKey.import_key(self._public_key), algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return "invalid assertion"
        if claims.get("iss") != self._consumer_key or claims.get("sub") != self._username:
            return "user hasn't approved this consumer"
        if claims.get("aud") not in AUDIENCES:
            return "audience is invalid"
        # The client library writes exp as a text; Salesforce takes it, so the simulator does.
        expires = str(claims.get("exp", ""))
        if not expires.isdecimal() or int(expires) <= self._clock.now().timestamp():
            return "expired authorization code"
        return ""
