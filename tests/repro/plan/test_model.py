"""The arithmetic of make plan, by cases that were computed by hand and by what must hold of any."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.plan.model import (
    EXPOSED,
    Facts,
    buffers,
    cards_fed,
    cores_needed,
    network_limit,
    predict,
    slowest_link,
)

# 100 images a card in 0.5 s; a machine has 40 cores of 10 images a second for its 4 cards.
FACTS = Facts(
    batch=100,
    step_s=0.5,
    step_cards=1,
    rate=10,
    cores=40,
    workers=20,
    shared=False,
    link=1e9,
    latency_s=0,
    averaged=100_000_000,
    averages=2,
    images=1_000_000,
    eval_images=1000,
    eval_rate=50,
    eval_core_rate=10,
    epochs=3,
    start_s=7,
    per_machine=4,
)
FAST = replace(FACTS, rate=1000.0, eval_core_rate=1000.0)  # its images are always there


@pytest.mark.parametrize(("cards", "expected"), [(1, 0), (2, 0.1), (4, 0.15), (100, 0.198)])
def test_a_ring_sends_nearly_twice_the_volume(cards: int, expected: float) -> None:
    assert FACTS.all_reduce_s(cards) == pytest.approx(expected)


def test_each_all_reduce_of_a_ring_takes_the_latency_of_its_hops() -> None:
    slow = replace(FACTS, latency_s=0.001)
    assert slow.all_reduce_s(4) == pytest.approx(0.15 + 2 * 6 * 0.001)


def test_a_step_takes_as_long_as_device_and_network_where_its_images_are_there() -> None:
    found = predict(FAST, 4)
    assert (found.bound, found.machines, found.global_batch, found.steps) == ("compute", 1, 400, 2500)
    assert (found.compute_s, found.all_reduce_s, found.wait_s) == (0.5, 0.15, 0)
    assert found.step_s == 0.65
    assert found.images_per_s == pytest.approx(400 / 0.65)
    assert found.epoch_s == pytest.approx(2500 * 0.65)
    assert found.factor == pytest.approx(0.65 / (100 / (1000 * 10)))
    assert found.eval_s == 1000 / (50 * 4)
    assert found.total_s == pytest.approx(7 + 3 * (2500 * 0.65 + 5))


def test_a_step_takes_as_long_as_its_images_where_these_take_longer() -> None:
    found = predict(FACTS, 4)  # 10 cores a card make 100 images in a second
    assert (found.bound, found.step_s, found.input_s) == ("input", 1.0, 1.0)
    assert found.wait_s == pytest.approx(0.35)
    assert found.factor == pytest.approx(1 / 0.65)
    assert cores_needed(FACTS, 4) == pytest.approx(10 / 0.65)
    assert cards_fed(FACTS, 4) == pytest.approx(40 / (10 / 0.65))


def test_no_more_cores_work_for_a_card_than_it_has_workers() -> None:
    assert predict(FACTS, 1).input_s == 100 / (10 * 20)
    assert predict(replace(FACTS, workers=5), 1).input_s == 100 / (10 * 5)


def test_evaluation_waits_for_the_cores_too() -> None:
    assert predict(replace(FACTS, eval_core_rate=0.5), 8).eval_s == 1000 / (2 * 40 * 0.5)


def test_on_a_cpu_making_images_and_computing_add_up_and_ranks_share_the_cores() -> None:
    cpu = replace(FACTS, shared=True, per_machine=2)
    alone, two, four = (predict(cpu, cards) for cards in (1, 2, 4))
    assert alone.step_s == pytest.approx(0.5 + 100 / (10 * 20))
    assert two.step_s == pytest.approx(2 * 0.5 + 100 / (10 * 20) + 0.1)
    assert four.step_s == pytest.approx(2 * 0.5 + 100 / (10 * 20) + 0.15)  # on a second machine
    assert (two.eval_s, four.eval_s) == (20, 10)


def test_a_step_that_was_taken_by_several_cards_holds_their_all_reduce() -> None:
    of_four = replace(FAST, step_cards=4)
    assert of_four.compute_s(100) == pytest.approx(0.35)
    assert predict(of_four, 4).step_s == pytest.approx(0.5)
    assert predict(of_four, 8).step_s == pytest.approx(0.35 + 0.175)


def test_fewer_images_a_card_take_the_device_less_time_and_the_network_as_long() -> None:
    whole, half = predict(FAST, 4), predict(FAST, 4, 50)
    assert (half.compute_s, half.all_reduce_s) == (0.25, whole.all_reduce_s)
    assert half.network_share == pytest.approx(0.15 / 0.4)


def test_the_network_is_the_bound_where_it_takes_longer_than_the_device() -> None:
    assert predict(replace(FAST, link=1e8), 4).bound == "network"


def test_a_step_shorter_than_its_own_all_reduce_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"all-reduce of 4 cards alone would take 1500 ms of a step of 500 ms"):
        replace(FACTS, step_cards=4, link=1e8)


def test_more_images_a_step_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"20000 cards with 100 images each take more than the 1,000,000 images"):
        predict(FACTS, 20_000)


def test_the_batches_made_ahead_are_five_of_bytes() -> None:
    assert buffers(replace(FACTS, image_size=224), 128) == 5 * 128 * 224 * 224 * 3


facts = st.builds(
    replace,
    st.just(FACTS),
    step_s=st.floats(0.01, 10),
    rate=st.floats(1, 1000),
    cores=st.integers(1, 256),
    workers=st.integers(1, 64),
    link=st.floats(1e7, 1e11),
    latency_s=st.floats(0, 1e-4),
    shared=st.booleans(),
)


@given(facts, st.integers(1, 64))
def test_twice_the_machines_never_take_longer_for_an_epoch_unless_the_network_does(found: Facts, machines: int) -> None:
    free = replace(found, link=math.inf, latency_s=0)
    few, many = (predict(free, 4 * n) for n in (machines, 2 * machines))
    assert many.epoch_s <= few.epoch_s
    assert many.eval_s <= few.eval_s


@given(facts, st.integers(1, 512))
def test_a_slower_link_never_makes_a_step_shorter_and_never_by_more_than_its_all_reduce(
    found: Facts, cards: int
) -> None:
    fast, slow = predict(found, cards), predict(replace(found, link=found.link / 2), cards)
    assert fast.step_s <= slow.step_s <= fast.step_s + slow.all_reduce_s + 1e-12


@given(facts, st.integers(1, 64))
def test_the_parts_of_a_step_add_up(found: Facts, cards: int) -> None:
    made = predict(found, cards)
    assert made.compute_s + made.all_reduce_s + made.wait_s == pytest.approx(made.step_s)
    assert (made.bound == "input") == (made.factor > 1 and made.input_s > made.compute_s + made.all_reduce_s)


@given(facts, st.integers(1, 4))
def test_with_the_cores_that_it_needs_a_card_does_not_wait(found: Facts, cards: int) -> None:
    found = replace(found, shared=False, workers=10**9)
    enough = replace(found, cores=cores_needed(found, cards) * cards)
    assert predict(enough, cards).wait_s == 0
    assert predict(replace(enough, cores=0.9 * enough.cores), cards).bound == "input"


@given(facts, st.booleans())
def test_the_network_limit_is_the_first_doubling_beyond_a_tenth(found: Facts, keep_global: bool) -> None:
    limit = network_limit(found, keep_global)
    share = EXPOSED if limit is None else limit.network_share
    assert share >= EXPOSED
    if limit is None:
        assert predict(found, 2, 512 if keep_global else None).network_share <= EXPOSED
    elif limit.cards > 2:
        before = limit.cards // 2
        assert predict(found, before, 1024 // before if keep_global else None).network_share <= EXPOSED


@given(facts, st.integers(2, 512))
def test_the_slowest_link_that_is_enough_makes_a_tenth_of_the_step(found: Facts, cards: int) -> None:
    found = replace(found, rate=1e9)
    link = slowest_link(found, cards)
    if math.isinf(link):
        assert predict(replace(found, link=1e30), cards).network_share >= EXPOSED * 0.999
    else:
        assert predict(replace(found, link=link), cards).network_share == pytest.approx(EXPOSED, rel=1e-3)
