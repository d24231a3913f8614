"""What ranks do together, without ranks; with real ones: test_ranks.py."""

import pytest

from hlg.errors import LostRankError
from hlg.model.loss import build_loss
from hlg.model.network import HLG
from hlg.runtime.collective import buckets, detect_lost_ranks
from hlg.training.step import Gradients
from repro.plan.prediction import ALL_REDUCES, AVERAGED_BYTES


def test_small_tensors_share_a_bucket_and_a_large_one_has_its_own() -> None:
    assert buckets([3, 4, 50, 2, 2], bucket=10) == ((0, 2, (0, 3)), (2, 3, (0,)), (3, 5, (0, 2)))


CLUSTER = "The state of the cluster is error, total nodes num: 2, abnormal nodes num: 1\n\n- C++ Call Stack: ..."


def test_a_collective_that_another_rank_has_left_is_an_error_that_says_so() -> None:
    said = r"^rank 0 of 2 lost contact with another rank \(The state .* num: 1\)"
    with pytest.raises(LostRankError, match=said) as error, detect_lost_ranks(0, 2):
        raise RuntimeError(CLUSTER)
    assert error.value.exit_code == 1


@pytest.mark.parametrize(("message", "ranks"), [("Memory not enough", 2), (CLUSTER, 1)])
def test_any_other_failure_stays_what_it_is(message: str, ranks: int) -> None:
    with pytest.raises(RuntimeError, match=message[:10]), detect_lost_ranks(0, ranks):
        raise RuntimeError(message)


def test_a_step_averages_every_gradient_every_moving_statistic_and_the_loss_in_float32() -> None:
    network = HLG()
    gradients = sum(p.size for p in network.trainable_params())
    moving = sum(p.size for p in network.get_parameters()) - gradients
    assert (gradients, moving) == (6_147_657, 3_200)
    average = Gradients(network, build_loss("ce_smooth_mixup", 1001, 0.1, 255)).average
    assert average.bytes == 4 * (gradients + moving + 1) == AVERAGED_BYTES
    assert len(average.buckets) == ALL_REDUCES <= 6  # all-reduces
