"""Wires the console: its pages, its key, and the identity provider where the settings name one."""

from __future__ import annotations

import os
from typing import Final

import httpx2

from revline.app.runtime import Runtime
from revline.doors.console.frame import ConsolePorts
from revline.doors.console.pages.registry import PAGES
from revline.platform.access.oidc import IdentityProvider, ProviderSettings
from revline.platform.access.roles import Role
from revline.platform.settings import Settings

PROVIDER_SECONDS: Final = 10
RETURN_PATH: Final = "/login/return"


def console_ports(runtime: Runtime, *, key: bytes) -> ConsolePorts:
    """What the console calls, wired. key: signs cursors, notes and forms; the same for every server process."""
    return ConsolePorts(
        services=runtime.services,
        key=key,
        pages=PAGES,
        random_bytes=os.urandom,
        public_url=runtime.settings.public_url,
        provider=_provider(runtime),
    )


def _provider(runtime: Runtime) -> IdentityProvider | None:
    settings = runtime.settings
    if not settings.oidc_issuer:
        return None
    return IdentityProvider(
        settings=ProviderSettings(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            redirect_uri=settings.public_url.rstrip("/") + RETURN_PATH,
            groups_claim=settings.oidc_groups_claim,
            grants=grants_of(settings),
        ),
        database=runtime.database,
        clock=runtime.clock,
        random_bytes=os.urandom,
        http=httpx2.Client(timeout=PROVIDER_SECONDS, follow_redirects=False, trust_env=False),
    )


def grants_of(settings: Settings) -> dict[str, tuple[tuple[Role, str], ...]]:
    """What each group gives, from `group=role@tenant` with commas between."""
    found: dict[str, tuple[tuple[Role, str], ...]] = {}
    for one in filter(None, (part.strip() for part in settings.oidc_grants.split(","))):
        group, _, grant = one.partition("=")
        role, _, tenant = grant.partition("@")
        found[group] = (*found.get(group, ()), (Role(role), tenant))
    return found
