"""The consent of a person is a fold: neither order nor repetition of its events matters (promise P10)."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from tokens.consent.state import fold
from tokens.models import ConsentEvent

Scope = ConsentEvent.Scope
IDS = [uuid.UUID(int=number) for number in range(1, 9)]

opt_outs = st.builds(
    lambda event_id, scope: ConsentEvent(id=event_id, action=ConsentEvent.Action.OPT_OUT, scope=scope),
    st.sampled_from(IDS[:5]),
    st.sampled_from(list(Scope)),
)
opt_ins = st.builds(
    lambda event_id, lifts: ConsentEvent(id=event_id, action=ConsentEvent.Action.OPT_IN, lifts=lifts),
    st.sampled_from(IDS[5:]),
    st.lists(st.sampled_from(IDS[:5]), max_size=4),
)
histories = st.lists(opt_outs | opt_ins, max_size=8, unique_by=lambda event: event.id)


@given(st.data(), histories)
def test_any_order_and_repetition_gives_the_same_state(
    data: st.DataObject, events: list[ConsentEvent]
) -> None:
    shuffled = data.draw(st.permutations(events))
    again = data.draw(st.lists(st.sampled_from(events), max_size=5)) if events else []
    assert fold([*shuffled, *again]) == fold(events)
    assert fold([*again, *shuffled]) == fold(events)


@given(histories)
def test_blocked_while_there_is_an_opt_out_that_no_opt_in_names(events: list[ConsentEvent]) -> None:
    named = {lifted for event in events if event.action == "opt-in" for lifted in event.lifts}
    in_force = [event for event in events if event.action == "opt-out" and event.id not in named]
    state = fold(events)
    assert set(state.opt_outs) == set(in_force)
    assert state.is_blocked == any(event.scope == Scope.ENTERPRISE for event in in_force)


@given(histories)
def test_the_last_event_would_not_do(events: list[ConsentEvent]) -> None:
    """The known-bad twin, "the newest event decides", differs as soon as events come in another order."""

    def newest_decides(history: list[ConsentEvent]) -> bool:
        return bool(history) and history[-1].action == "opt-out"

    out = ConsentEvent(id=IDS[0], action="opt-out", scope=Scope.ENTERPRISE)
    lifts = ConsentEvent(id=IDS[5], action="opt-in", lifts=[IDS[0]])
    assert newest_decides([lifts, out]) != newest_decides([out, lifts])
    assert fold([lifts, out]) == fold([out, lifts])


def test_an_opt_in_lifts_only_what_it_names() -> None:
    first, second = (
        ConsentEvent(id=event_id, action="opt-out", scope=Scope.ENTERPRISE) for event_id in IDS[:2]
    )
    lifts_first = ConsentEvent(id=IDS[5], action="opt-in", lifts=[first.id])
    assert fold([first, second, lifts_first]).opt_outs == (second,)
    assert not fold([first, lifts_first]).is_blocked


def test_a_narrower_opt_out_does_not_block_the_enterprise() -> None:
    narrow = ConsentEvent(id=IDS[0], action="opt-out", scope=Scope.SHORT_CODE, scope_id="46356")
    assert fold([narrow]).opt_outs == (narrow,)
    assert not fold([narrow]).is_blocked
