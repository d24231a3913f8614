"""What ranks do together, without ranks; with real ones: test_ranks.py."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mindspore import Parameter, Tensor

from hlg.collective import BUCKET, broadcast, buckets, total
from hlg.model import HLG


def test_small_tensors_share_a_bucket_and_a_large_one_has_its_own() -> None:
    assert buckets([3, 4, 50, 2, 2], bucket=10) == ((0, 2, (0, 3)), (2, 3, (0,)), (3, 5, (0, 2)))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(1, 60))
def test_buckets_hold_every_tensor_once_in_order_and_are_filled_without_gaps(sizes: list[int], bucket: int) -> None:
    found = buckets(sizes, bucket)
    assert [i for first, last, _ in found for i in range(first, last)] == list(range(len(sizes)))
    for first, last, starts in found:
        inside = sizes[first:last]
        assert list(starts) == [sum(inside[:i]) for i in range(len(inside))]
        assert sum(inside) <= bucket or len(inside) == 1


def test_alone_counts_and_parameters_stay_as_they_are() -> None:
    np.testing.assert_array_equal(total([3, 2**40], ranks=1), [3, 2**40])
    parameter = Parameter(Tensor(np.ones(2, np.float32)))
    broadcast([parameter], ranks=1)
    np.testing.assert_array_equal(parameter.asnumpy(), [1, 1])


def test_the_gradients_of_the_whole_network_need_few_all_reduces() -> None:
    sizes = [p.size for p in HLG().trainable_params()]
    assert len(sizes) == 245
    assert len(buckets(sizes, BUCKET)) <= 6
