"""The adaptive weight α′ of the divergence, equations (11) and (12), and N, which it depends on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AlphaSchedule:
    """α′ as a function of the update x: α′(0) = 0, α′(N/q) = 1, α′(x ≥ N/p) = α.

    Attributes:
        alpha: final weight α; α ≤ 1 is used from the first update on (section 3.3)
        p: α′ reaches α at update N/p
        q: α′ reaches 1 at update N/q
        constant: use α from the first update on
    Raises:
        ValueError: unless 0 ≤ α < ∞, 0 < p < q, and p/q does not underflow
    """

    alpha: float = 5.0
    p: float = 5.0
    q: float = 10.0
    constant: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise ValueError(f"alpha must be finite and at least 0, not {self.alpha}")
        if not (0 < self.p < self.q and self.p / self.q > 0):
            raise ValueError(
                f"0 < p < q must hold, with p/q above 0, but p is {self.p} and q is {self.q}"
            )

    @property
    def adaptive(self) -> bool:
        return self.alpha > 1 and not self.constant

    @property
    def gamma(self) -> float:
        """The exponent γ of the growth, equation (12)."""
        return math.log(1 / self.alpha) / math.log(self.p / self.q)

    def __call__(self, update: int, total_updates: int | None) -> float:
        """α′ at an update.

        Args:
            update: x, the number of updates made so far
            total_updates: N, the number of updates of the whole run; unused if α′ is constant
        """
        if not self.adaptive:
            return self.alpha
        progress = self.p * update / total_updates  # reaches 1 at update N/p
        return self.alpha * progress**self.gamma if progress < 1 else self.alpha


def total_updates(
    max_update: int,
    max_epoch: int,
    batches_per_epoch: Sequence[int],
    update_freq: Sequence[int],
    skip_remainder_batch: bool = False,
) -> int | None:
    """N: the number of updates that a run will make.

    Args:
        max_update: bound in updates, 0 for none
        max_epoch: bound in epochs, 0 for none
        batches_per_epoch: number of batches of one rank in epoch 1, 2, …; the entries repeat in
            later epochs, as the shards of the data do
        update_freq: batches per update in epoch 1, 2, …; the last entry holds for later epochs
        skip_remainder_batch: fairseq's option: an epoch's last batch makes no update, nor does an
            incomplete group of batches before it
    Returns:
        the smaller bound in updates, None without a bound
    """
    bounds = [max_update] if max_update > 0 else []
    if max_epoch > 0:
        epochs = range(max_epoch)
        batches = (batches_per_epoch[epoch % len(batches_per_epoch)] for epoch in epochs)
        frequencies = (update_freq[min(epoch, len(update_freq) - 1)] for epoch in epochs)
        bounds.append(
            sum(
                (number - 1) // each if skip_remainder_batch else math.ceil(number / each)
                for number, each in zip(batches, frequencies, strict=True)
            )
        )
    return min(bounds, default=None)
