"""Random histories of documents never end in a set that waits for itself: what stands still was told of, or time helps."""

from __future__ import annotations

from revline.core.documents import Document
from revline.core.ids import lane_id
from revline.delivery.chains import Why, behind, blockers
from revline.delivery.order import Place, check_order
from tests.unit.delivery.waiting_model import Model

HISTORIES = 5_000
EVENTS = 45


def stuck(model: Model) -> list[str]:
    """Unfinished documents ahead of which nothing stands that a person was told of or that time brings on."""
    found = []
    for name in model.unfinished():
        ahead = blockers([name], ahead=model.ahead)
        if not ahead or not all(excused(model, one, why) for one, why in ahead.items()):
            found.append(name)
    return found


def excused(model: Model, name: str, why: Why | None) -> bool:
    if why is not None:
        return name in model.told
    return model.rows[name].case or model.rows[name].timed


def test_no_history_ends_in_a_set_that_waits_for_itself() -> None:
    waited = 0
    for seed in range(HISTORIES):
        model = Model(seed)
        model.play(EVENTS)
        model.rest()
        assert model.circle() == [], f"seed {seed}: they wait for each other"
        assert stuck(model) == [], f"seed {seed}: nobody was told, and nothing is due"
        waited += len(model.unfinished())
    assert waited > HISTORIES, "histories in which nothing stands still prove nothing"


def test_what_stands_behind_is_everything_that_leads_there() -> None:
    """The walk behind finds exactly the documents whose walk ahead comes by."""
    for seed in range(300):
        model = Model(seed)
        model.play(EVENTS)
        model.rest()
        for start in model.unfinished():
            expected = {
                name for name in model.unfinished() if name != start and start in blockers_by_the_way(model, name)
            }
            assert behind(start, after=model.after).documents == expected, f"seed {seed}, {start}"


def blockers_by_the_way(model: Model, name: str) -> set[str]:
    seen: set[str] = set()
    frontier = [name]
    while frontier:
        links = model.ahead(frontier)
        frontier = [link.document_id for found in links.values() for link in found if link.document_id not in seen]
        seen |= set(frontier)
    return seen


def test_without_the_rank_in_the_lane_a_circle_closes() -> None:
    """A lane of several ranks lets two lanes wait for each other though every single wait follows the ranks."""

    def lane_without_rank(*, tenant_id: str, document: Document) -> str:
        return lane_id(tenant=tenant_id, kind="delivery", key=f"{document.connection}:{document.lane_key}")

    def by_rank_alone(*, before: Place, after: Place, before_id: str, after_id: str) -> None:
        if before.rank >= after.rank:
            check_order(before=before, after=after, before_id=before_id, after_id=after_id)

    for seed in range(HISTORIES):
        model = Model(seed, check=by_rank_alone, lane_for=lane_without_rank)
        model.play(EVENTS)
        model.rest()
        if model.circle():
            return
    raise AssertionError("the model can't tell a rule that closes circles from one that does not")
