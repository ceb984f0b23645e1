from collections import Counter

import pytest

from intra_distill.tools.preparation.sampling import sample_mask


@pytest.mark.parametrize("number", [0, 1, 7, 20, 21])
def test_draws_the_number_asked_for_or_all(number: int) -> None:
    assert sum(sample_mask(number, 20)) == min(number, 20)


def test_a_draw_is_the_same_everywhere() -> None:
    assert [n for n, drawn in enumerate(sample_mask(5, 100)) if drawn] == [9, 13, 19, 35, 71]


def test_all_places_are_as_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Counter()
    for seed in range(4000):
        monkeypatch.setattr("intra_distill.tools.preparation.sampling.SEED", seed)
        places.update(n for n, drawn in enumerate(sample_mask(3, 12)) if drawn)
    assert all(abs(places[n] - 1000) < 120 for n in range(12))  # 4 standard deviations
