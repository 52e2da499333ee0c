"""Parts of a job on a cluster: each event in one of them, in order."""

from hypothesis import given
from hypothesis import strategies as st

from sonic_tracking.distributed.parts import MAX_EVENTS, Part, plan_parts


def entries_of(parts):
    return [
        (part.file, entry) for part in parts for entry in range(part.start, part.stop)
    ]


@given(
    st.lists(st.integers(0, 30), max_size=6),
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 5),
)
def test_parts_cover_the_events_once_in_order(n_events, start, stop, n_workers):
    every = [(file, entry) for file, n in enumerate(n_events) for entry in range(n)]

    parts = plan_parts(n_events, start=start, stop=stop, n_workers=n_workers)

    assert entries_of(parts) == every[start:stop]
    assert all(len(part) for part in parts)


@given(st.lists(st.integers(0, 30), max_size=6), st.data())
def test_resuming_after_a_part_plans_the_others_as_before(n_events, data):
    stop = sum(n_events)
    whole = plan_parts(n_events, start=0, stop=stop, n_workers=2)
    n_done = data.draw(st.integers(0, len(whole)))
    start = sum(map(len, whole[:n_done]))

    assert plan_parts(n_events, start=start, stop=stop, n_workers=2) == whole[n_done:]


def test_a_part_is_never_larger_than_memory_allows():
    parts = plan_parts([10 * MAX_EVENTS], start=0, stop=10 * MAX_EVENTS, n_workers=1)

    assert {len(part) for part in parts} == {MAX_EVENTS}


def test_names_sort_as_the_input_does():
    parts = plan_parts([5, 0, 2000], start=0, stop=2005, n_workers=2)

    assert sorted(parts, key=lambda part: part.name) == list(parts)
    assert parts[0] == Part(file=0, start=0, stop=5)
