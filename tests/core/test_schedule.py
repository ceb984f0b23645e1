import pytest

from intra_distill.core.schedule import AlphaSchedule, total_updates

N = 50_000


def test_adaptive_alpha_at_the_points_of_the_paper():
    schedule = AlphaSchedule(alpha=5, p=5, q=10)
    assert schedule.gamma == pytest.approx(2.3219, abs=1e-4)
    expected = {0: 0.0, 2_500: 0.2, 5_000: 1.0, 10_000: 5.0, 10_001: 5.0, N: 5.0}
    for update, alpha in expected.items():
        assert schedule(update, N) == pytest.approx(alpha)


@pytest.mark.parametrize("alpha, p, q", [(5, 6.25, 10), (1.5, 6.67, 10), (10, 2, 3)])
def test_alpha_is_1_at_n_by_q_and_alpha_from_n_by_p(alpha, p, q):
    schedule = AlphaSchedule(alpha, p, q)
    assert schedule(0, 10**6) == 0
    assert schedule(round(10**6 / q), 10**6) == pytest.approx(1, rel=1e-4)
    assert schedule(round(10**6 / p) - 1, 10**6) < alpha
    assert schedule(round(10**6 / p) + 1, 10**6) == alpha
    curve = [schedule(update, 1000) for update in range(1001)]
    assert curve == sorted(curve)


def test_growth_is_linear_where_q_is_alpha_p():
    schedule = AlphaSchedule(alpha=4, p=5, q=20)
    assert schedule(100, 1000) == pytest.approx(4 * 100 / 200)


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_small_alpha_is_not_adapted(alpha):
    assert AlphaSchedule(alpha)(0, None) == alpha


def test_constant_alpha_needs_no_total():
    assert AlphaSchedule(5, constant=True)(0, None) == 5


@pytest.mark.parametrize(
    "alpha, p, q, named",
    [
        (-1, 5, 10, "alpha"),
        (float("nan"), 5, 10, "alpha"),
        (float("inf"), 5, 10, "alpha"),
        (5, 0, 10, "p is 0"),
        (5, 10, 10, "q is 10"),
        (5, 10, 5, "q is 5"),
        (5, -1, 10, "p is -1"),
        (5, float("nan"), 10, "p is nan"),
    ],
)
def test_impossible_values_are_refused(alpha, p, q, named):
    with pytest.raises(ValueError, match=named):
        AlphaSchedule(alpha, p, q)


@pytest.mark.parametrize(
    "max_update, max_epoch, update_freq, skip_remainder, expected",
    [
        (0, 0, [1], False, None),
        (500, 0, [1], False, 500),
        (0, 3, [1], False, 303),
        (500, 3, [1], False, 303),
        (200, 3, [1], False, 200),
        (0, 3, [4], False, 3 * 26),
        (0, 3, [4], True, 3 * 25),
        (0, 3, [1, 2], False, 101 + 51 + 51),
        (0, 1, [1, 2], False, 101),
    ],
)
def test_total_updates(max_update, max_epoch, update_freq, skip_remainder, expected):
    assert total_updates(max_update, max_epoch, [101], update_freq, skip_remainder) == expected


@pytest.mark.parametrize(
    "batches, max_epoch, update_freq, skip_remainder, expected",
    [
        ([100], 3, [1], True, 3 * 99),  # as fairseq has it: all but the last, also of a whole group
        ([100], 1, [4], True, 24),
        ([101], 1, [4], True, 25),
        ([10, 3], 2, [1], False, 13),
        ([10, 3], 5, [1], False, 10 + 3 + 10 + 3 + 10),
        ([10, 3], 3, [1, 2], False, 10 + 2 + 5),
        ([10, 3, 1], 1, [1], False, 10),
    ],
)
def test_shards_and_skipped_batches(batches, max_epoch, update_freq, skip_remainder, expected):
    assert total_updates(0, max_epoch, batches, update_freq, skip_remainder) == expected
