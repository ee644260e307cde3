"""The signed assertion that NetSuite gives an access token for (OAuth 2.0 client credentials, RFC 7523). Pure but for the key."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS: Final = ("PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""NetSuite takes no RS256."""
LIFE: Final = timedelta(minutes=5)
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Signer:
    """An integration's identity and its private key.

    client_id: of the integration record. certificate_id: of the certificate mapped to it, the header's `kid`. private_key: PEM.
    scope_form: `array` as in Oracle's sample, or `comma`. ValueError for another algorithm or a key that doesn't fit it.
    """

    def __init__(
        self, *, client_id: str, certificate_id: str, private_key: str, algorithm: str, scope_form: str
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"the setting algorithm is one of {', '.join(ALGORITHMS)}, not {algorithm!r}")
        if scope_form not in {"array", "comma"}:
            raise ValueError(f"the setting scopeForm is array or comma, not {scope_form!r}")
        self._client_id = client_id
        self._certificate_id = certificate_id
        self._algorithm = algorithm
        self._scope: list[str] | str = ["rest_webservices"] if scope_form == "array" else "rest_webservices"
        kind = ECKey if algorithm.startswith("ES") else RSAKey
        try:
            self._key = kind.import_key(private_key)
            self._sign({"iss": client_id})
        except (JoseError, ValueError, TypeError):
            raise ValueError("the secret privateKey is no private key in PEM for the setting algorithm") from None

    def assertion(self, *, token_url: str, now: datetime) -> str:
        """A token request's assertion, good for LIFE; NetSuite takes less than 60 minutes."""
        issued = int(now.timestamp())
        return self._sign(
            {
                "iss": self._client_id,
                "scope": self._scope,
                "aud": token_url,
                "iat": issued,
                "exp": issued + int(LIFE.total_seconds()),
            }
        )

    def _sign(self, claims: dict[str, object]) -> str:
        header = {"typ": "JWT", "alg": self._algorithm, "kid": self._certificate_id}
        return jwt.encode(header, claims, self._key, algorithms=[self._algorithm])
