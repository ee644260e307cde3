"""The simulated account's records and what they are set against: made, changed and transformed one at a time.

Deterministic, without I/O or clock: the same acts in the same order give the same ids and the same books.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.netsuite.simulator.fields import check_names
from revline.connectors.netsuite.simulator.impact import Terms, legs_of
from revline.connectors.netsuite.simulator.lists import Lists
from revline.connectors.netsuite.simulator.setup import RecordEdit, SetupBody
from revline.connectors.netsuite.simulator.values import (
    MASTERS,
    RECEIVABLE_TYPE,
    TYPE_CODES,
    ZERO,
    Leg,
    Master,
    Refusal,
    Transaction,
    day_of,
    invalid_content,
    invalid_value,
    items_of,
    number_of,
    reference_of,
    text_of,
)

FIRST_ID: Final = 100
_ENTITY_FIELDS: Final = {"invoice": "entity", "creditMemo": "entity"}


class Books:
    """Records and ledger of one account."""

    def __init__(self) -> None:
        self.lists = Lists()
        self.masters: dict[str, Master] = {}
        self.transactions: dict[str, Transaction] = {}
        self.incomes: dict[str, str] = {}
        self._external: dict[tuple[str, str], str] = {}
        self._sequence = FIRST_ID

    def set_up(self, *, body: SetupBody, at: datetime) -> None:
        """Lists, and items that are there from the start."""
        self.lists.set_up(body=body)
        for item in body.items:
            self.incomes[item.id] = item.account
            values = {"itemid": item.name, "displayname": item.name, "incomeaccount": item.account}
            self.masters[f"item/{item.id}"] = Master(
                id=item.id, type="serviceSaleItem", external_id="", values=values, created=at, modified=at
            )

    def find(self, *, record: str, external_id: str) -> str:
        """The internal id of an external id; "" when there is none."""
        return self._external.get((record, external_id), "")

    def create(self, *, record: str, body: dict[str, Any], at: datetime, strict: bool = True) -> str:
        """Make a record; its internal id."""
        if strict:
            check_names(record=record, body=body)
        external = text_of(body, "externalId")
        if external and self.lists.settings.external_id_unique and (record, external) in self._external:
            raise Refusal(self.lists.settings.text_prefix + self.lists.settings.duplicate_text, path="externalId")
        number = str(self._sequence)
        if record in MASTERS:
            self._master(record, number, external, body, at)
        else:
            made = self._transaction(record, number, external, body, at)
            self._apply_all(made, body, at)
            self.transactions[number] = made
        self._sequence += 1
        if external:
            self._external.setdefault((record, external), number)
        return number

    def transaction(self, *, number: str, record: str = "") -> Transaction:
        """One transaction; NONEXISTENT_ID."""
        found = self.transactions.get(number)
        if found is None or record not in {"", found.type}:
            raise Refusal("The record instance does not exist.", code="NONEXISTENT_ID", status=404)
        return found

    def patch(self, *, record: str, number: str, body: dict[str, Any], at: datetime) -> None:
        """Change a payment's or a credit memo's memo and what it is set against; absolute amounts."""
        check_names(record=record, body=body)
        found = self.transaction(number=number, record=record)
        if unknown := body.keys() - {"memo", "apply"}:
            raise invalid_content(f"Property '{min(unknown)}' can't be changed here.", min(unknown))
        self.lists.month_of(day=found.day, subsidiary=found.subsidiary)
        memo = text_of(body, "memo", maximum=self.lists.settings.memo_max) if "memo" in body else found.memo
        self._apply_all(found, body, at)
        found.memo = memo
        found.modified = at

    def transform(self, *, source: str, body: dict[str, Any], at: datetime) -> str:
        """A credit memo of an invoice with all its lines; what the body says goes over what is copied."""
        invoice = self.transaction(number=source, record="invoice")
        lines = [
            {"item": {"id": leg.item}, "amount": -leg.foreign, "description": leg.memo}
            | {name: {"id": value} for name, value in leg.dimensions}
            for leg in invoice.legs
            if not leg.main
        ]
        copied: dict[str, Any] = {"entity": {"id": invoice.entity}, "item": {"items": lines}}
        copied |= {"account": {"id": invoice.legs[0].account}, "subsidiary": {"id": invoice.subsidiary}}
        copied |= {"currency": {"id": self.lists.currency_of(symbol=invoice.currency).id}, "exchangeRate": invoice.rate}
        number = self.create(record="creditMemo", body=copied | body, at=at)
        self.transactions[number].created_from = source
        return number

    def edit(self, *, change: RecordEdit, at: datetime) -> None:
        """What a person does in the user interface. ValueError when there is no such transaction."""
        found = self.transactions.get(change.id)
        if found is None:
            raise ValueError(f"no transaction {change.id!r}")
        if change.deleted:
            del self.transactions[change.id]
            self._external = {key: number for key, number in self._external.items() if number != change.id}
            return
        found.day = change.day or found.day
        found.memo = found.memo if change.memo is None else change.memo
        found.legs = tuple(
            msgspec.structs.replace(leg, foreign=change.amounts[str(place)], functional=change.amounts[str(place)])
            if str(place) in change.amounts
            else leg
            for place, leg in enumerate(found.legs)
        )
        found.modified = at

    def _master(self, record: str, number: str, external: str, body: dict[str, Any], at: datetime) -> None:
        limit = self.lists.settings.text_max
        if record == "customer":
            name = text_of(body, "companyName", maximum=limit)
            if not name and body.get("isPerson") is not True:
                detail = "Error while accessing a resource. You must enter a value for Company Name."
                raise Refusal(detail, path="companyName")
            entity = text_of(body, "entityId", maximum=limit) or name
            if any(each.values.get("entityid") == entity for each in self.masters.values()):
                raise Refusal("Error while accessing a resource. This entity already exists.", path="entityId")
            subsidiary = self.lists.subsidiary(number=reference_of(body, "subsidiary"))
            self.lists.symbol(number=reference_of(body, "currency"), subsidiary=subsidiary)
            values = {"companyname": name, "entityid": entity, "email": text_of(body, "email")}
            values |= {"subsidiary": subsidiary.id, "currency": reference_of(body, "currency")}
        else:
            account = self.lists.account(number=reference_of(body, "incomeAccount"), field="incomeaccount").id
            name = text_of(body, "itemId", maximum=limit)
            if not name:
                raise self.lists.missing_value("Item Name/Number")
            if any(each.values.get("itemid") == name for each in self.masters.values()):
                raise Refusal("Error while accessing a resource. This record already exists.", path="itemId")
            shown = text_of(body, "displayName")
            values = {"itemid": name, "displayname": shown, "incomeaccount": account}
            self.incomes[number] = account
        key = f"{'customer' if record == 'customer' else 'item'}/{number}"
        self.masters[key] = Master(id=number, type=record, external_id=external, values=values, created=at, modified=at)

    def _transaction(self, record: str, number: str, external: str, body: dict[str, Any], at: datetime) -> Transaction:
        entity = ""
        if record not in {"deposit", "journalEntry"}:
            field = _ENTITY_FIELDS.get(record, "customer")
            entity = reference_of(body, field)
            customer = self.masters.get(f"customer/{entity}")
            if customer is None:
                raise invalid_value(entity, field)
        given = reference_of(body, "subsidiary") or (self._customer_subsidiary(entity) if entity else "")
        subsidiary = self.lists.subsidiary(number=given)
        symbol = self.lists.symbol(number=reference_of(body, "currency"), subsidiary=subsidiary)
        day = day_of(body, "tranDate")
        self.lists.month_of(day=day, subsidiary=subsidiary.id)
        given_rate = number_of(body, "exchangeRate")
        rate = self.lists.rate(given=given_rate, symbol=symbol, subsidiary=subsidiary, day=day)
        terms = Terms(lists=self.lists, subsidiary=subsidiary, symbol=symbol, rate=rate, items=self.incomes)
        legs = legs_of(record=record, body=body, terms=terms, entity=entity)
        total = abs(legs[0].foreign) if legs and legs[0].main else sum((max(leg.foreign, ZERO) for leg in legs), ZERO)
        code = TYPE_CODES[record]
        numbered = sum(each.type == record for each in self.transactions.values()) + 1
        return Transaction(
            id=number,
            type=record,
            external_id=external,
            number=text_of(body, "tranId") or f"{code.upper()}{numbered}",
            day=day,
            entity=entity,
            currency=symbol,
            rate=rate,
            subsidiary=subsidiary.id,
            memo=text_of(body, "memo", maximum=self.lists.settings.memo_max),
            total=total,
            open=self._opened(record, legs, total),
            applied={},
            legs=legs,
            created=at,
            modified=at,
        )

    def _customer_subsidiary(self, entity: str) -> str:
        return self.masters[f"customer/{entity}"].values["subsidiary"]

    def _opened(self, record: str, legs: tuple[Leg, ...], total: Decimal) -> Decimal:
        """What is unpaid of an invoice, unapplied of a payment, credit memo or journal credit to a customer's receivable."""
        if record == "journalEntry":
            credited = [
                -leg.foreign for leg in legs if leg.entity and self.lists.accounts[leg.account].type == RECEIVABLE_TYPE
            ]
            return max(sum(credited, ZERO), ZERO)
        return ZERO if record in {"deposit", "customerRefund"} else total

    def _apply_all(self, made: Transaction, body: dict[str, Any], at: datetime) -> None:
        """Set a transaction against what its lists name: checked as a whole first, then done."""
        sources = self._amounts(body, "credit")
        debits = self._amounts(body, "apply")
        if not debits and not sources:
            return
        moved = {number: amount - made.applied.get(number, ZERO) for number, amount in debits.items()}
        spent = sum(moved.values(), ZERO) if made.type != "customerRefund" else ZERO
        brought = sum(sources.values(), ZERO)
        if spent > made.open + brought or (brought and spent != brought + made.total):
            raise self._over_applied()
        for number, amount in (moved | sources).items():
            other = self.transactions.get(number)
            owed = number in moved and made.type != "customerRefund"
            if other is None or owed != (other.type == "invoice"):
                raise invalid_value(number, "doc", "apply.items[0].doc")
            if amount > other.open or other.currency != made.currency or not self._shares(made, other):
                raise self._over_applied()
        for number, amount in (moved | sources).items():
            other = self.transactions[number]
            other.open -= amount
            other.modified = at
            if number in moved:
                made.applied[number] = debits[number]
                self._realize(made, other, amount)
        made.open -= spent - brought

    def _shares(self, made: Transaction, other: Transaction) -> bool:
        if other.type == "journalEntry":
            return made.entity in {leg.entity for leg in other.legs}
        return other.entity == made.entity

    def _amounts(self, body: dict[str, Any], sublist: str) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for place, line in enumerate(items_of(body, sublist)):
            amount = number_of(line, "amount", f"{sublist}.items[{place}].amount")
            if amount < 0:
                raise invalid_value(str(amount), "amount", f"{sublist}.items[{place}].amount")
            found[reference_of(line, "doc")] = amount if line.get("apply", True) is True else ZERO
        return found

    def _over_applied(self) -> Refusal:
        return Refusal(
            self.lists.settings.text_prefix + self.lists.settings.over_applied_text, path="apply.items[0].amount"
        )

    def _realize(self, made: Transaction, other: Transaction, amount: Decimal) -> None:
        """The exchange difference of what was just set against an invoice goes on the payment's own ledger impact."""
        subsidiary = self.lists.subsidiary(number=made.subsidiary)
        if made.rate == other.rate or other.type != "invoice" or not subsidiary.fx_account:
            return
        paid = self.lists.functional(amount=amount, rate=made.rate, subsidiary=subsidiary)
        owed = self.lists.functional(amount=amount, rate=other.rate, subsidiary=subsidiary)
        account = other.legs[0].account
        made.legs += (
            Leg(account=account, foreign=ZERO, functional=paid - owed, entity=made.entity),
            Leg(account=subsidiary.fx_account, foreign=ZERO, functional=owed - paid),
        )
