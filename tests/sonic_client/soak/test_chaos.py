"""The plan of a soak: what it promises, so that each event can be answered."""

from hypothesis import given
from hypothesis import strategies as st

from .chaos import QUIET_EVENTS, UNDONE_BY, plan_chaos

plans = st.builds(
    plan_chaos,
    st.integers(0, 2000),
    n_servers=st.integers(2, 5),
    seed=st.integers(0, 2**32),
)


def spells(plan):
    """Begin, end, server and verb of each trouble; fails if one is not undone."""
    found, open_spells = [], {}
    for at_event, server, verb in plan:
        if verb in UNDONE_BY:
            assert server not in open_spells
            open_spells[server] = at_event, verb
        else:
            begin, trouble = open_spells.pop(server)
            assert UNDONE_BY[trouble] == verb
            found.append((begin, at_event, server, trouble))
    assert not open_spells
    return found


@given(plans)
def test_acts_are_in_order_and_all_is_undone(plan):
    assert [act.at_event for act in plan] == sorted(act.at_event for act in plan)
    spells(plan)


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_an_event_always_finds_a_server_that_works_meanwhile(seed, n_servers):
    n_events = 1000
    found = spells(plan_chaos(n_events, n_servers=n_servers, seed=seed))
    for event in range(n_events):
        troubled = {
            server
            for begin, end, server, _ in found
            if begin <= event + QUIET_EVENTS // 2 and end >= event - QUIET_EVENTS // 2
        }
        assert len(troubled) < n_servers


def test_a_plan_is_told_by_its_seed():
    first, again, other = (
        plan_chaos(500, n_servers=3, seed=seed) for seed in (1, 1, 2)
    )

    assert first == again != other
