"""The arithmetic of make plan, by cases that were computed by hand and by what must hold of any."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.plan import prediction
from repro.plan.prediction import EXPOSED, TrainingFacts, cores_needed, predict_training

# 100 images a card in 0.5 s; a machine has 40 cores of 10 images a second for its 4 cards.
FACTS = TrainingFacts(
    **{"batch": 100, "step_s": 0.5, "step_cards": 1, "rate": 10, "cores": 40, "workers": 20, "shared": False},
    **{"link": 1e9, "latency_s": 0, "averaged": 100_000_000, "averages": 2, "per_machine": 4, "start_s": 7},
    **{"images": 1_000_000, "epochs": 3, "eval_images": 1000, "eval_rate": 50, "eval_core_rate": 10},
)
FAST = replace(FACTS, rate=1000.0, eval_core_rate=1000.0)  # its images are always there


@pytest.mark.parametrize(
    ("latency_s", "cards", "expected"),
    [(0, 1, 0), (0, 2, 0.1), (0, 4, 0.15), (0, 100, 0.198), (0.001, 4, 0.15 + 2 * 6 * 0.001)],
)
def test_an_all_reduce_takes_twice_the_volume_and_its_hops(latency_s: float, cards: int, expected: float) -> None:
    assert replace(FACTS, latency_s=latency_s).all_reduce_s(cards) == pytest.approx(expected)


def test_a_step_takes_as_long_as_device_and_network_where_its_images_are_there() -> None:
    found = predict_training(FAST, 4)
    assert (found.bound, found.machines, found.global_batch, found.steps) == ("compute", 1, 400, 2500)
    assert (found.compute_s, found.all_reduce_s, found.wait_s, found.step_s) == (0.5, 0.15, 0, 0.65)
    assert found.images_per_s == pytest.approx(400 / 0.65)
    assert found.epoch_s == pytest.approx(2500 * 0.65)
    assert found.factor == pytest.approx(0.65 / (100 / (1000 * 10)))
    assert found.eval_s == 1000 / (50 * 4)
    assert found.total_s == pytest.approx(7 + 3 * (2500 * 0.65 + 5))
    half = predict_training(FAST, 4, 50)  # fewer images take the device less time, and the network as long
    assert (half.compute_s, half.all_reduce_s) == (0.25, found.all_reduce_s)
    assert half.network_share == pytest.approx(0.15 / 0.4)
    assert predict_training(replace(FAST, link=1e8), 4).bound == "network"


def test_a_step_takes_as_long_as_its_images_where_these_take_longer() -> None:
    found = predict_training(FACTS, 4)  # 10 cores a card make 100 images in a second
    assert (found.bound, found.step_s, found.input_s) == ("input", 1.0, 1.0)
    assert found.wait_s == pytest.approx(0.35)
    assert found.factor == pytest.approx(1 / 0.65)
    assert cores_needed(FACTS, 4) == pytest.approx(10 / 0.65)
    assert prediction.cards_fed(FACTS, 4) == pytest.approx(40 / (10 / 0.65))
    assert predict_training(replace(FACTS, eval_core_rate=0.5), 8).eval_s == 1000 / (2 * 40 * 0.5)


@pytest.mark.parametrize("workers", [20, 5])
def test_no_more_cores_work_for_a_card_than_it_has_workers(workers: int) -> None:
    assert predict_training(replace(FACTS, workers=workers), 1).input_s == 100 / (10 * workers)


def test_on_a_cpu_making_images_and_computing_add_up_and_ranks_share_the_cores() -> None:
    cpu = replace(FACTS, shared=True, per_machine=2)
    alone, two, four = (predict_training(cpu, cards) for cards in (1, 2, 4))
    assert alone.step_s == pytest.approx(0.5 + 100 / (10 * 20))
    assert two.step_s == pytest.approx(2 * 0.5 + 100 / (10 * 20) + 0.1)
    assert four.step_s == pytest.approx(2 * 0.5 + 100 / (10 * 20) + 0.15)  # on a second machine
    assert (two.eval_s, four.eval_s) == (20, 10)


def test_a_step_that_was_taken_by_several_cards_holds_their_all_reduce() -> None:
    of_four = replace(FAST, step_cards=4)
    assert of_four.compute_s(100) == pytest.approx(0.35)
    assert predict_training(of_four, 4).step_s == pytest.approx(0.5)
    assert predict_training(of_four, 8).step_s == pytest.approx(0.35 + 0.175)
    with pytest.raises(ValueError, match=r"all-reduce of 4 cards alone would take 1500 ms of a step of 500 ms"):
        replace(of_four, link=1e8)


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
def test_the_parts_of_a_step_add_up(found: TrainingFacts, cards: int) -> None:
    made = predict_training(found, cards)
    assert made.compute_s + made.all_reduce_s + made.wait_s == pytest.approx(made.step_s)
    assert (made.bound == "input") == (made.factor > 1 and made.input_s > made.compute_s + made.all_reduce_s)


@given(facts, st.integers(1, 4))
def test_with_the_cores_that_it_needs_a_card_does_not_wait(found: TrainingFacts, cards: int) -> None:
    found = replace(found, shared=False, workers=10**9)
    enough = replace(found, cores=cores_needed(found, cards) * cards)
    assert predict_training(enough, cards).wait_s == 0
    assert predict_training(replace(enough, cores=0.9 * enough.cores), cards).bound == "input"


@given(facts, st.booleans())
def test_the_network_limit_is_the_first_doubling_beyond_a_tenth(found: TrainingFacts, keep_global: bool) -> None:
    limit = prediction.network_limit(found, keep_global)
    assert limit is None or limit.network_share > EXPOSED
    if limit is None or limit.cards > 2:
        before = limit.cards // 2 if limit else 2
        assert predict_training(found, before, 1024 // before if keep_global else None).network_share <= EXPOSED


@given(facts, st.integers(2, 512))
def test_the_slowest_link_that_is_enough_makes_a_tenth_of_the_step(found: TrainingFacts, cards: int) -> None:
    found = replace(found, rate=1e9)
    link = prediction.slowest_link(found, cards)
    if math.isinf(link):
        assert predict_training(replace(found, link=1e30), cards).network_share >= EXPOSED * 0.999
    else:
        assert predict_training(replace(found, link=link), cards).network_share == pytest.approx(EXPOSED, rel=1e-3)
