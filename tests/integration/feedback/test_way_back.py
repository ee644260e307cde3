"""What becomes of an invoice reaches its source and those who subscribed, once each, in order, and stops nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from standardwebhooks import Webhook

from revline.core.farside import PreparedStep, Rejected
from revline.core.problem import problem
from revline.delivery import acts
from revline.feedback import replaying
from tests.integration.derive.world import CONNECTION, application, at, charge, customer, invoice, webhook
from tests.integration.feedback.world import SECRET, TENANT, World


def issued() -> list[bytes]:
    return [
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
    ]


def paid() -> list[bytes]:
    return [
        webhook("charge.succeeded", charge(), created=at(5)),
        webhook("invoice_payment.paid", application(), created=at(5)),
    ]


def accept(world: World, *bodies: bytes) -> None:
    world.harness.accept(TENANT, CONNECTION, bodies)


def test_a_source_hears_that_its_invoice_is_posted_and_what_is_left_of_it(world: World) -> None:
    accept(world, *issued())
    world.run()
    told = world.write_backs()[-1]
    assert told["_target"] == "in_1"
    assert told["revline_state"] == "posted"
    assert told["erp_number"].startswith("N")
    assert told["erp_open"] == "100.00"
    accept(world, *paid())
    world.run()
    assert world.write_backs()[-1]["erp_open"] == "0.00"
    assert world.write_backs()[-1]["erp_applied"] == "100.00"


def test_the_same_facts_again_tell_nothing_again(world: World) -> None:
    accept(world, *issued(), *paid())
    world.run()
    before = (len(world.write_backs()), len(world.endpoint.got))
    accept(world, webhook("invoice.updated", invoice(), created=at(4)))
    world.run()
    assert (len(world.write_backs()), len(world.endpoint.got)) == before


def test_every_message_is_signed_and_one_is_sent_for_each_change(world: World) -> None:
    accept(world, *issued(), *paid())
    world.run()
    for request in world.endpoint.got:
        message = Webhook(SECRET)
        at_sending = int(request.headers["webhook-timestamp"])
        signed = message.sign(request.headers["webhook-id"], _moment(at_sending), request.content.decode())
        assert signed == request.headers["webhook-signature"]
    told = world.endpoint.types()
    assert told.count("payment.applied") == 1
    assert set(told) == {"document.posted", "payment.applied"}
    ids = [request.headers["webhook-id"] for request in world.endpoint.got]
    assert len(set(ids)) == len(ids)
    posted = [one["data"]["document_id"] for one in world.endpoint.messages() if one["type"] == "document.posted"]
    assert len(posted) == len(set(posted))


def test_a_refusal_is_told_with_its_problem_and_then_that_it_went_on(world: World) -> None:
    refused = True

    def refuse(step: PreparedStep) -> Rejected | None:
        return Rejected(problem=problem("erp.rejected", "no such term")) if refused and step.kind == "invoice" else None

    world.erp.before = refuse
    accept(world, *issued())
    world.run()
    told = world.write_backs()[-1]
    assert (told["revline_state"], told["erp_problem"]) == ("rejected", "erp.rejected")
    assert "document.rejected" in world.endpoint.types()
    assert "case.opened" in world.endpoint.types()
    refused = False
    (rejected,) = [one for one in world.deliveries() if one.state == "rejected"]
    acts.resend(
        world.database,
        tenant_id=TENANT,
        document_id=rejected.document_id,
        actor="person:test",
        reason="mended",
        recorded_at=world.clock.now(),
    )
    world.run()
    assert world.write_backs()[-1]["revline_state"] == "posted"
    of_invoice = [one for one in world.endpoint.messages() if one["data"].get("document_id") == rejected.document_id]
    assert [one["type"] for one in of_invoice] == ["document.rejected", "document.posted"]
    assert "case.resolved" in world.endpoint.types()


def test_what_was_not_sent_yet_is_told_as_it_is_now(world: World) -> None:
    accept(world, *issued())
    world.harness.derive_all()
    world.tell()
    world.deliver()
    accept(world, *paid())
    world.harness.derive_all()
    world.tell()
    world.tell()
    pending = [one for one in world.deliveries("stripe-us") if one.state == "ready"]
    assert len(pending) <= 1
    world.run()
    states = [one["revline_state"] for one in world.write_backs() if one["_target"] == "in_1"]
    assert states[-1] == "posted"
    assert len(world.write_backs()) == len({str(one) for one in world.write_backs()})


def test_an_endpoint_that_is_down_delays_no_erp_document(world: World) -> None:
    world.endpoint.always = 500
    accept(world, *issued(), *paid())
    world.harness.derive_all()
    for _ in range(6):
        world.deliver()
        world.tell()
    erp = [one for one in world.deliveries() if one.connection not in {"hooks", "stripe-us"}]
    assert erp
    assert {one.state for one in erp} == {"posted"}
    assert world.write_backs()[-1]["revline_state"] == "posted"
    waiting = {one.state for one in world.messages()}
    assert waiting <= {"ready", "uncertain", "sending"}
    world.endpoint.always = 200
    for _ in range(20):
        world.pass_time(timedelta(minutes=5))
        world.run()
    assert {one.state for one in world.messages()} == {"posted"}


def test_messages_about_one_record_keep_their_order_when_the_first_must_be_sent_again(world: World) -> None:
    world.endpoint.answers = [503]
    accept(world, *issued(), *paid())
    for _ in range(10):
        world.run()
        world.pass_time(timedelta(minutes=5))
    of_invoice = [
        one["timestamp"]
        for one, request in zip(world.endpoint.messages(), world.endpoint.got, strict=True)
        if one["type"] == "document.posted" and one["data"]["source"]["kind"] == "payment"
    ]
    assert of_invoice == sorted(of_invoice)
    assert {one.state for one in world.messages()} == {"posted"}


def test_410_stops_an_endpoint_until_its_messages_are_taken_again(world: World) -> None:
    world.endpoint.always = 410
    accept(world, *issued())
    world.run()
    refused = [one for one in world.messages() if one.state == "rejected"]
    assert {one.problem_code for one in refused} == {"webhook.endpoint_gone"}
    calls, there = len(world.endpoint.got), len(world.messages())
    accept(world, *paid())
    world.run()
    assert len(world.endpoint.got) == calls
    assert len(world.messages()) == there
    world.endpoint.always = 200
    for one in refused:
        acts.resend(
            world.database,
            tenant_id=TENANT,
            document_id=one.document_id,
            actor="person:test",
            reason="the address is good again",
            recorded_at=world.clock.now(),
        )
    world.run()
    assert "payment.applied" in world.endpoint.types()
    assert {one.state for one in world.messages()} == {"posted"}


def test_a_replay_keeps_the_message_id_and_every_byte(world: World) -> None:
    accept(world, *issued())
    world.run()
    first = world.messages()[0]
    answer = replaying.replay(
        world.database,
        tenant_id=TENANT,
        delivery_id=first.document_id,
        configuration=world.configuration(),
        actor="person:test",
        reason="the endpoint lost it",
        recorded_at=world.clock.now(),
    )
    assert isinstance(answer, replaying.Replayed), answer
    before = len(world.endpoint.got)
    world.run()
    again = world.endpoint.got[-1]
    assert len(world.endpoint.got) == before + 1
    (original, _) = [one for one in world.endpoint.got if one.headers["webhook-id"] == answer.message_id]
    assert original.content == again.content
    assert world.messages()[-1].document_id == answer.id != first.document_id


def test_a_subscription_hears_nothing_from_before_it_was_there(world: World) -> None:
    world.apply(lambda text: text.partition("---\napiVersion: revline/v1\nkind: WebhookSubscription")[0])
    accept(world, *issued())
    world.run()
    assert world.endpoint.got == []
    world.apply(lambda text: text + SUBSCRIPTION)
    accept(world, *paid())
    world.run()
    assert "payment.applied" in world.endpoint.types()
    invoices = [one for one in world.endpoint.messages() if one["data"].get("kind") == "invoice"]
    assert invoices == []


def test_a_tenant_that_tells_nobody_asks_for_no_feedback(world: World) -> None:
    world.apply(lambda text: "\n")
    accept(world, *issued(), *paid())
    world.harness.derive_all()
    world.deliver()
    assert world.tell() == 0


SUBSCRIPTION = """---
apiVersion: revline/v1
kind: WebhookSubscription
metadata: {name: late, tenant: aurora}
spec: {connection: hooks, events: ["document.*", payment.applied]}
"""


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
