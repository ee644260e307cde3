"""Secrets are found where their references point, and never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from revline.core.problem import Problem
from revline.core.secret import Secret
from revline.platform.tenancy.secrets import SecretResolver

CANARY = "canary-4e1f"


@pytest.fixture
def resolver(tmp_path: Path) -> SecretResolver:
    folder = tmp_path / "secrets"
    (folder / "erp").mkdir(parents=True)
    (folder / "erp" / "token").write_text(f"{CANARY}\n")
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "outside").write_text("not yours")
    (folder / "link").symlink_to(tmp_path / "outside")
    return SecretResolver(
        folder=folder, environment={"REVLINE_SECRET_TOKEN": CANARY, "EMPTY": "", "REVLINE_DSN": "not yours"}
    )


@pytest.mark.parametrize("reference", ["secret://env/REVLINE_SECRET_TOKEN", "secret://file/erp/token"])
def test_a_reference_leads_to_its_value(resolver: SecretResolver, reference: str) -> None:
    secret = resolver.resolve(reference)
    assert isinstance(secret, Secret)
    assert secret.reveal() == CANARY
    assert secret == Secret(CANARY)
    assert secret != Secret(f"{CANARY}x")


@pytest.mark.parametrize(
    "reference",
    [
        "secret://env/MISSING",
        "secret://env/EMPTY",
        "secret://env/REVLINE_DSN",
        "secret://file/missing",
        "secret://file/empty",
        "secret://file/binary",
        "secret://file/erp",
        "secret://file/../outside",
        "secret://file/erp/../../outside",
        "secret://file/link",
        "secret://file//etc/shadow",
        "secret://vault/x",
        "secret://env/../x",
        "plain text",
        "",
    ],
)
def test_what_is_missing_or_outside_the_folder_is_a_problem(resolver: SecretResolver, reference: str) -> None:
    missing = resolver.resolve(reference)
    assert isinstance(missing, Problem)
    assert missing.code == "secret.missing"
    assert "not yours" not in missing.detail


def test_without_a_folder_no_file_is_read() -> None:
    assert isinstance(SecretResolver(folder=None, environment={}).resolve("secret://file/erp/token"), Problem)


def test_a_secret_is_not_printed_formatted_or_pickled(resolver: SecretResolver) -> None:
    secrets = resolver.resolve_all({"token": "secret://env/REVLINE_SECRET_TOKEN"})
    assert isinstance(secrets, dict)
    secret = secrets["token"]
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", repr(secrets), repr([secret])]
    assert not any(CANARY in each for each in shown)
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_one_missing_secret_of_a_connection_is_a_problem(resolver: SecretResolver) -> None:
    found = resolver.resolve_all({"a": "secret://env/REVLINE_SECRET_TOKEN", "b": "secret://env/MISSING"})
    assert isinstance(found, Problem)
