"""What a far system was sent and answered, as people read it: whatever shape a secret has, it is not in it."""

from __future__ import annotations

import time

import pytest

from revline.doors.console.shown import MASK, SHOWN_MAX, masked, pretty

CANARY = "CANARY9f3a7c"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"password": "{CANARY}"}}',
        f'{{"password": "ab\\"{CANARY}"}}',
        f'{{"Client_Secret": "begins and is cut {CANARY}',
        f'{{"tokens": ["{CANARY}", "x"]}}',
        f'{{"access_token": ["{CANARY}", "is cut',
        '{"pin_token": 8217364500123}',
        f'{{"body": "{{\\"api_key\\": \\"{CANARY}\\", \\"a\\": 1}}"}}',
        f"grant_type=x&client_assertion=eyJhbGciOiJQUzI1NiJ9.{CANARY}.sig&scope=y",
        f"POST /?client_secret={CANARY}&x=1",
        f"Authorization: Basic {CANARY}Ojpw==",
        f"Authorization: Bearer {CANARY}",
        f"session 00D5g00000AbCdE!{CANARY}.aaaa",
        f'{{"x": "pi_3Mtw_secret_{CANARY}"}}',
        f"sk_live_{CANARY}",
        f"whsec_{CANARY}+/aa",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\\n{CANARY} and cut",
        f"token eyJhbGciOiJIUzI1NiJ9.eyJ{CANARY}.abc",
    ],
)
def test_a_secret_of_any_shape_is_masked(text: str) -> None:
    for shown in (masked(text), pretty(text.encode())):
        assert CANARY not in shown
        assert "8217364500123" not in shown
        assert MASK in shown


def test_what_is_no_secret_stays() -> None:
    text = '{"number": "INV-1", "memo": "a key account", "total": "12.50", "token": null, "tokenized": true}'
    assert masked(text) == text


def test_a_long_text_of_nothing_but_names_of_secrets_is_masked_quickly() -> None:
    started = time.process_time()
    for text in (
        '"' + "secret" * 40_000,
        '"secret' * 30_000,
        '{"secret":' * 20_000,
        "secret=" * 30_000,
        "eyJ" * 80_000,
    ):
        assert len(masked(text)) <= SHOWN_MAX + 20
    assert time.process_time() - started < 5


def test_what_nests_without_end_is_shown_as_text() -> None:
    assert pretty(b"[" * 100_000).startswith("[[[")
