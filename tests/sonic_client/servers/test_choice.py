"""Which server is asked next."""

from hypothesis import given
from hypothesis import strategies as st

from sonic_client.servers.choice import Candidate, choose_server
from sonic_client.servers.health import Health


def named(name, **facts):
    return Candidate(name=name, **facts)


def test_none_is_chosen_when_none_is_usable():
    assert choose_server([]) is None
    assert choose_server([named("a", is_usable=False)]) is None


def test_the_order_of_the_configuration_decides_between_equals():
    assert choose_server([named("a"), named("b")]) == "a"


def test_a_preferred_server_comes_first():
    assert choose_server([named("a"), named("b", is_preferred=True)]) == "b"


def test_a_preferred_server_without_room_does_not():
    servers = [named("a"), named("b", is_preferred=True, saturated_s=0.1)]

    assert choose_server(servers) == "a"


def test_of_full_ones_that_which_soon_has_room_comes_first():
    servers = [named("a", saturated_s=2.0), named("b", saturated_s=0.5)]

    assert choose_server(servers) == "b"


def test_one_that_was_tried_comes_last_and_the_oldest_try_first():
    servers = [named("a", is_preferred=True), named("b"), named("c")]

    assert choose_server(servers, tried=["a"]) == "b"
    assert choose_server(servers, tried=["b", "a", "c"]) == "b"
    assert choose_server(servers, tried=["a", "b", "c", "a"]) == "b"


def test_one_that_often_fails_comes_after_those_that_do_not():
    servers = [
        named("a", health=Health(calls=10, error_rate=0.3, latency_s=0.1)),
        named("b", health=Health(calls=10, error_rate=0.0, latency_s=9.0)),
    ]

    assert choose_server(servers) == "b"


def test_the_least_expected_wait_is_chosen():
    fast_and_busy = named("a", in_flight=5, health=Health(latency_s=0.1))
    slow_and_idle = named("b", in_flight=0, health=Health(latency_s=0.5))

    assert choose_server([fast_and_busy, slow_and_idle]) == "b"


@given(
    st.lists(
        st.builds(
            Candidate,
            name=st.sampled_from("abcde"),
            is_usable=st.booleans(),
            is_preferred=st.booleans(),
            saturated_s=st.sampled_from([0.0, 0.5, 2.0]),
            in_flight=st.integers(0, 50),
        ),
        unique_by=lambda candidate: candidate.name,
    ),
    st.lists(st.sampled_from("abcde")),
)
def test_an_untried_usable_server_is_never_passed_over(candidates, tried):
    chosen = choose_server(candidates, tried)

    usable = {each.name for each in candidates if each.is_usable}
    assert (chosen in usable) if usable else (chosen is None)
    assert chosen not in tried or usable <= set(tried)
