"""What the simulated account's queries may do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from revline.connectors.netsuite.simulator.suiteql import Tables
from revline.connectors.netsuite.simulator.values import Refusal
from tests.contract.netsuite.acting import AT, Acting


def asked(acting: Acting, text: str, *parameters: str, limit: int = 10, offset: int = 0) -> Any:
    tables = Tables(books=acting.books)
    tables.touch(number="")
    for number in (*acting.books.transactions, acting.customer):
        tables.touch(number=number)
    return tables.page(text=text, parameters=parameters, limit=limit, offset=offset, now=AT, lag=timedelta(0))


def test_the_ledger_can_be_summed_by_account() -> None:
    acting = Acting()
    acting.invoice("100.00", "20.00")
    text = "SELECT account, COUNT(*) AS lines FROM transactionaccountingline GROUP BY account ORDER BY account"
    assert asked(acting, text) == ([{"account": "119", "lines": "1"}, {"account": "240", "lines": "2"}], 2)


def test_the_word_transaction_is_a_table_outside_of_texts_only() -> None:
    acting = Acting()
    acting.invoice("1.00", memo="a transaction of 'us'")
    rows, _ = asked(acting, "SELECT t.id FROM transaction t WHERE t.memo LIKE '%transaction of ''us''%'")
    assert len(rows) == 1


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM currency",
        "SELECT 1; DROP TABLE currency",
        "WITH x AS (SELECT 1) INSERT INTO currency SELECT 1, 2, 3",
        "SELECT load_extension('x')",
        "SELECT * FROM nowhere",
        "SELECT id FROM currency WHERE id = ?",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
        "PRAGMA table_info(currency)",
    ],
)
def test_a_query_reads_and_does_nothing_else(text: str) -> None:
    with pytest.raises(Refusal, match="query"):
        asked(Acting(), text)


def test_an_amount_stays_what_it_was() -> None:
    acting = Acting()
    acting.invoice("999999999999999.99")
    rows, _ = asked(acting, "SELECT foreigntotal FROM transaction")
    assert rows == [{"foreigntotal": "999999999999999.99"}]
