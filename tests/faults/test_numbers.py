"""Strange numbers: the equations.

The losses and what they rest on, against the equations in float64 on exactly the same inputs, over
random cases that are strange by design. Tolerances are multiples of the rounding unit times what
the numbers that are added up can be at most.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from intra_distill.core.distillation import distillation_loss
from intra_distill.core.divergence import (
    DIVERGENCES,
    OF_DISTRIBUTIONS,
    js_divergence,
    mse_divergence,
    x_divergence,
)
from intra_distill.core.fused_loss import fused_intra_distillation_loss, loss_and_gradient_
from intra_distill.core.loss import intra_distillation_loss
from intra_distill.core.pruning import least
from intra_distill.core.routing import combine, dispatch, load_balancing_loss, route
from intra_distill.core.schedule import AlphaSchedule
from intra_distill.core.sensitivity import balance
from intra_distill.core.tracking import top_and_rest

ROUNDINGS = 4  # how many roundings of the largest number a result may be away
DTYPES = torch.float64, torch.float32, torch.bfloat16, torch.float16


@pytest.fixture
def for_all(inject, times):
    """``for_all(strategy, short, long)(check)``: check so many cases of it, each one a fault."""

    def for_all(strategy: st.SearchStrategy, short: int, long: int) -> Callable:
        def run(check: Callable) -> None:
            @settings(
                max_examples=times(short, long),
                database=None,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(strategy)
            def counted(case):
                inject()
                check(case)

            counted()

        return run

    return for_all


# Rows of logits: (K, V) of a scale, from a generator


def _one_hot(V: int, place: Tensor) -> Tensor:
    return 2 * F.one_hot(place, V).double() - 1


def _random(K, V, scale, generator):
    return scale * torch.randn(K, V, dtype=torch.float64, generator=generator)


def _identical(K, V, scale, generator):
    return _random(1, V, scale, generator).expand(K, V)


def _nearly_identical(K, V, scale, generator):
    return _identical(K, V, scale, generator) * (1 + _random(K, V, 1e-3, generator))


def _shifted(K, V, scale, generator):
    return _random(1, V, 1.0, generator) + _random(K, 1, scale, generator)


def _all_equal(K, V, scale, generator):
    return _random(K, 1, scale, generator).expand(K, V)


def _agreed(K, V, scale, generator):
    return scale * _one_hot(V, torch.randint(V, (1,), generator=generator)).expand(K, V)


def _contradicting(K, V, scale, generator):
    return scale * _one_hot(V, torch.randint(V, (K,), generator=generator))


def _tied(K, V, scale, generator):
    return scale * torch.randint(-1, 2, (K, V), generator=generator).double()


KINDS = _random, _identical, _nearly_identical, _shifted, _all_equal, _agreed, _contradicting, _tied
SCALES = 1e-30, 1e-8, 1e-3, 0.3, 1.0, 5.0, 30.0, 300.0, 1e4


@st.composite
def rows(draw, K: int, N: int, V: int) -> Tensor:
    """N rows of any kinds and scales side by side, (K, N, V), up to ±1e4."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=N, max_size=N))
    scales = draw(st.lists(st.sampled_from(SCALES), min_size=N, max_size=N))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    made = [kind(K, V, scale, generator) for kind, scale in zip(kinds, scales, strict=True)]
    made.append(torch.zeros(K, V, dtype=torch.float64))  # for N = 0
    return torch.stack(made, dim=1)[:, :N].clamp(-1e4, 1e4)


@dataclass
class Case:
    """Of the loss of K passes; the products features · weightᵀ are exact in any dtype."""

    features: Tensor  # (K, N, d)
    weight: Tensor  # (V, d): in each row one power of two
    bias: Tensor | None  # zeros
    target: Tensor  # (N,)
    divergence: str
    alpha: float
    label_smoothing: float
    supervised_passes: int
    chunk_size: int | None

    @property
    def leaves(self) -> list[Tensor]:
        leaves = [self.features, self.weight]
        return leaves if self.bias is None else [*leaves, self.bias]

    @property
    def options(self) -> tuple[float, str, float, int]:
        return self.alpha, self.divergence, self.label_smoothing, self.supervised_passes


@st.composite
def cases(draw) -> Case:
    K, N, V = draw(st.integers(1, 5)), draw(st.integers(0, 6)), draw(st.integers(2, 40))
    d = draw(st.integers(1, V))
    dtype = draw(st.sampled_from(DTYPES))
    features = draw(rows(K, N, d)).to(dtype)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    alpha = draw(st.sampled_from([0.0, 1e-6, 0.5, 1.0, 5.0, 100.0, 1e12]))
    if dtype == torch.float16 and N > 0:  # where it could hold the gradient
        alpha = min(alpha, 10 / (1 + features.abs().max().item()))
    weight = torch.zeros(V, d)
    columns = torch.randint(d, (V,), generator=generator)
    weight[range(V), columns] = 2.0 ** torch.randint(-1, 2, (V,), generator=generator)
    return Case(
        features=features.requires_grad_(),
        weight=weight.to(dtype).requires_grad_(),
        bias=torch.zeros(V, dtype=dtype, requires_grad=True) if draw(st.booleans()) else None,
        target=torch.randint(V, (N,), generator=generator),
        divergence=draw(st.sampled_from(list(OF_DISTRIBUTIONS))),
        alpha=alpha,
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 0.5, 0.99])),
        supervised_passes=draw(st.integers(1, K)),
        chunk_size=draw(st.sampled_from([None, 1, 2, 4, 7])),
    )


def divergences_as_defined(z: Tensor) -> dict[str, Tensor]:
    """Equation (8), its first half and SimCut's, from logits (K, N, V): X, JS and KL, (N,)."""
    a = z.log_softmax(-1)
    log_mean = a.logsumexp(0) - math.log(len(a))
    to_mean = (a.exp() * (a - log_mean)).sum(-1).mean(0)
    from_mean = (log_mean.exp() * (log_mean - a)).sum(-1).mean(0)
    from_first = (a[0].exp() * (a[0] - a)).sum(-1).sum(0) / max(1, len(a) - 1)
    return {"x": to_mean + from_mean, "js": to_mean, "kl": from_first}


def loss_as_defined(case: Case) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Equation (10) in float64: loss, nll, divergence, the logits (K, N, V), their gradient."""
    z = F.linear(case.features.detach().double(), case.weight.detach().double()).requires_grad_()
    V = z.size(-1)
    a = z.log_softmax(-1)
    gold = F.one_hot(case.target, V).bool()
    y = torch.full_like(z, case.label_smoothing / (V - 1))
    y = y.masked_fill(gold, 1 - case.label_smoothing)
    supervised = slice(case.supervised_passes)
    cross_entropy = -(y * a).sum(-1)[supervised].mean(0)
    distance = divergences_as_defined(z)[case.divergence].sum()
    loss = cross_entropy.sum() + case.alpha * distance
    nll = -(gold * a).sum(-1)[supervised].mean(0).sum()
    (gradient,) = torch.autograd.grad(loss, z)
    return loss.detach(), nll.detach(), distance.detach(), z.detach(), gradient


def reach(z: Tensor) -> Tensor:
    """How large log-probabilities of logits (K, N, V) can be, and so what is summed: (N,)."""
    return 1 + math.log(z.size(-1)) + (z.amax(-1) - z.amin(-1)).amax(0)


def unit(dtype: torch.dtype) -> float:
    """The rounding unit of the arithmetic, in single precision at least."""
    return torch.finfo(torch.promote_types(torch.float32, dtype)).eps


def assert_within(actual: Tensor, expected: Tensor, tolerance: Tensor | float) -> None:
    """|actual − expected| ≤ tolerance, where actual's type can hold that."""
    assert actual.shape == expected.shape
    tolerance = torch.as_tensor(tolerance).double() + torch.finfo(actual.dtype).smallest_normal
    held = expected.abs() + tolerance < torch.finfo(actual.dtype).max
    error = (actual.double() - expected).abs()
    assert (error <= tolerance)[held].all()


def assert_equals_the_equations(case: Case, parts, expected) -> None:
    """Values and gradients of an implementation, the latter through the exact projection."""
    loss, nll, distance, z, gradient = expected
    dtype = case.features.dtype
    eps = ROUNDINGS * unit(dtype)
    R = reach(z)
    assert_within(parts.loss.detach(), loss, eps * (1 + case.alpha) * R.sum())
    assert_within(parts.nll, nll, eps * R.sum())
    assert_within(parts.divergence, distance, eps * R.sum())

    tolerance = eps * (1 + case.alpha * R.unsqueeze(-1)).expand_as(gradient)
    if dtype in (torch.bfloat16, torch.float16):  # in which the gradient of the logits is kept
        tolerance = tolerance + 2 * torch.finfo(dtype).eps * gradient.abs()
        tolerance = tolerance + torch.finfo(dtype).smallest_normal
    features, weight = case.features.detach().double(), case.weight.detach().double()
    found = torch.autograd.grad(parts.loss, case.leaves)
    half = torch.finfo(dtype).eps  # of the results, and of the sums that make them
    for actual, right, allowed in zip(
        found,
        [
            gradient @ weight,
            torch.einsum("knv,knd->vd", gradient, features),
            gradient.sum((0, 1)),
        ],
        [
            tolerance @ weight + half * gradient.abs() @ weight,
            torch.einsum("knv,knd->vd", tolerance + 2 * half * gradient.abs(), features.abs()),
            (tolerance + 2 * half * gradient.abs()).sum((0, 1)),
        ],
    ):
        assert actual.dtype == dtype
        assert_within(actual, right, allowed)


def test_the_loss_of_k_passes_is_equation_10(for_all):
    @for_all(cases(), 700, 10_000)
    def check(case: Case) -> None:
        expected = loss_as_defined(case)
        z = F.linear(*case.leaves)
        lprobs = F.log_softmax(z, -1, dtype=torch.promote_types(torch.float32, z.dtype))
        plain = intra_distillation_loss(
            lprobs,
            case.target,
            case.alpha,
            DIVERGENCES[case.divergence],
            case.label_smoothing,
            case.supervised_passes,
        )
        assert_equals_the_equations(case, plain, expected)
        fused = fused_intra_distillation_loss(
            case.features,
            case.weight,
            case.bias,
            case.target,
            *case.options[:3],
            case.chunk_size,
            case.supervised_passes,
        )
        assert_equals_the_equations(case, fused, expected)


@st.composite
def outputs(draw) -> tuple[Tensor, list[int]]:
    """Logits of K passes in single or double precision, and an order of the passes."""
    K, N, V = draw(st.integers(1, 5)), draw(st.integers(0, 6)), draw(st.integers(2, 40))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    return draw(rows(K, N, V)).to(dtype), draw(st.permutations(range(K)))


def test_divergences_are_what_divergences_are(for_all):
    @for_all(outputs(), 300, 4000)
    def check(case: tuple[Tensor, list[int]]) -> None:
        z, order = case
        tolerance = ROUNDINGS * unit(z.dtype) * reach(z)  # (N,)
        lprobs = z.log_softmax(-1)
        defined = divergences_as_defined(z.double())
        ours = {name: DIVERGENCES[name](lprobs).double() for name in defined}
        for name in defined:
            assert_within(ours[name], defined[name], tolerance)
            assert (ours[name] >= -tolerance).all()
        x, js = ours["x"], ours["js"]
        assert (js <= math.log(len(z)) + tolerance).all()
        assert (js <= x + tolerance).all()
        for divergence, value in ((x_divergence, x), (js_divergence, js)):
            assert_within(divergence(lprobs[order]), value, tolerance)
            assert_within(divergence(lprobs[:1].expand_as(lprobs)), torch.zeros_like(x), tolerance)
        largest = z.double().abs().amax(0).square() + torch.finfo(z.dtype).smallest_normal
        variance = z.double().var(0, correction=0)
        assert_within(mse_divergence(z), variance, ROUNDINGS * unit(z.dtype) * largest)


NUMBERS_THAT_ARE_NONE = math.nan, math.inf, -math.inf


@st.composite
def spoilt(draw) -> tuple[Case, Tensor]:
    """A case of two passes or more with N ≥ 1, and its logits with one that is no number."""
    case = draw(cases().filter(lambda case: len(case.features) > 1 and len(case.target)))
    z = F.linear(*case.leaves).detach()
    i, n, v = (draw(st.integers(0, size - 1)) for size in z.shape)
    z[i, n, v] = draw(st.sampled_from(NUMBERS_THAT_ARE_NONE))
    return case, z


def test_what_is_no_number_shows_in_loss_and_gradient(for_all):
    """fairseq's guard and its loss scaler look at the gradient."""

    @for_all(spoilt(), 150, 2000)
    def check(spoilt: tuple[Case, Tensor]) -> None:
        case, z = spoilt
        leaf = z.float().clone().requires_grad_()
        plain = intra_distillation_loss(
            leaf.log_softmax(-1),
            case.target,
            case.alpha,
            DIVERGENCES[case.divergence],
            case.label_smoothing,
            case.supervised_passes,
        )
        (gradient,) = torch.autograd.grad(plain.loss, leaf)
        assert not plain.loss.isfinite() and gradient.isnan().any()
        parts, gradient = loss_and_gradient_(z, case.target, *case.options, scale=len(z))
        assert not parts[0].isfinite() and gradient.isnan().any()


@dataclass
class Lesson:
    """Of self-distillation."""

    logits: Tensor  # (N, V)
    teacher_logits: Tensor  # (N, V)
    target: Tensor  # (N,)
    scored: Tensor  # (N,)
    weight: float
    label_smoothing: float
    chunk_size: int | None


@st.composite
def lessons(draw) -> Lesson:
    N, V = draw(st.integers(0, 6)), draw(st.integers(2, 40))
    dtype = draw(st.sampled_from(DTYPES))
    logits, teacher_logits = draw(rows(2, N, V)).to(dtype)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    return Lesson(
        logits=logits.requires_grad_(),
        teacher_logits=teacher_logits,
        target=torch.randint(V, (N,), generator=generator),
        scored=torch.rand(N, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0])),
        weight=draw(st.sampled_from([1e-6, 0.5, 1.0, 5.0, 1e4])),
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 0.5, 0.99])),
        chunk_size=draw(st.sampled_from([None, 1, 2, 4, 7])),
    )


def test_self_distillation_is_equation_3(for_all):
    @for_all(lessons(), 300, 4000)
    def check(lesson: Lesson) -> None:
        loss, nll, kl = distillation_loss(
            lesson.logits,
            lesson.teacher_logits,
            lesson.target,
            lesson.scored,
            lesson.weight,
            lesson.label_smoothing,
            lesson.chunk_size,
        )
        (gradient,) = torch.autograd.grad(loss, lesson.logits)

        z = lesson.logits.detach().double().requires_grad_()
        V = z.size(-1)
        a, b = z.log_softmax(-1), lesson.teacher_logits.double().log_softmax(-1)
        gold = F.one_hot(lesson.target, V).bool()
        y = torch.full_like(z, lesson.label_smoothing / (V - 1))
        y = y.masked_fill(gold, 1 - lesson.label_smoothing)
        right_kl = (b.exp() * (b - a)).sum(-1)[lesson.scored].sum()
        right_nll = -(gold * a).sum(-1)[lesson.scored].sum()
        cross_entropy = -(y * a).sum(-1)[lesson.scored].sum()
        right_loss = cross_entropy + lesson.weight * right_kl
        (right,) = torch.autograd.grad(right_loss, z)

        dtype = lesson.logits.dtype
        eps = ROUNDINGS * unit(dtype)
        R = reach(torch.stack([z.detach(), lesson.teacher_logits.double()]))[lesson.scored].sum()
        assert_within(loss.detach(), right_loss.detach(), eps * (1 + lesson.weight) * R)
        assert_within(nll, right_nll.detach(), eps * R)
        assert_within(kl, right_kl.detach(), eps * R)
        assert gradient.dtype == dtype
        half = torch.finfo(dtype).eps * right.abs()
        assert_within(gradient, right, eps * (1 + lesson.weight) + half)


# The schedule of α′

POSITIVE = st.floats(1e-300, 1e300) | st.floats(0.01, 100)


@st.composite
def schedules(draw) -> tuple[float, float, float, int, list[int]]:
    """α, 0 < p < q, N and some updates."""
    alpha = draw(st.floats(0, 1e300) | st.floats(0, 20))
    p, q = draw(st.tuples(POSITIVE, POSITIVE).filter(lambda pair: pair[0] < pair[1]))
    N = draw(st.integers(1, 20) | st.integers(1, 10**12))
    return alpha, p, q, N, draw(st.lists(st.integers(0, N), min_size=2))


def test_alpha_grows_from_0_to_alpha_or_is_refused(for_all):
    @for_all(schedules(), 200, 2000)
    def check(case: tuple[float, float, float, int, list[int]]) -> None:
        alpha, p, q, N, updates = case
        if p / q == 0:  # whose logarithm, and with it the power of the growth, is no number
            with pytest.raises(ValueError, match="p/q above 0"):
                AlphaSchedule(alpha, p, q)
            return
        schedule = AlphaSchedule(alpha, p, q)
        curve = [schedule(update, N) for update in sorted(updates)]
        assert curve == sorted(curve)
        assert 0 <= curve[0] and curve[-1] <= alpha
        assert schedule(0, N) == (0 if alpha > 1 else alpha)
        if 2 * N / p < math.inf:
            assert schedule(2 * math.ceil(N / p), N) == alpha


# The routing of the Switch Transformer


@dataclass
class Traffic:
    logits: Tensor  # of the router, (N, E)
    real: Tensor  # (N,)
    capacity: int | None
    seed: int


@st.composite
def traffic(draw) -> Traffic:
    N, E = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    return Traffic(
        logits=draw(rows(1, N, E))[0].to(draw(st.sampled_from([torch.float64, torch.float32]))),
        real=torch.rand(N, generator=generator) < draw(st.sampled_from([0.0, 0.7, 1.0])),
        capacity=draw(st.none() | st.integers(1, N + 1)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def test_tokens_reach_their_experts(for_all):
    """With the routing as one tensor of 0 and 1, as the paper's own code has it."""

    @for_all(traffic(), 200, 2000)
    def check(case: Traffic) -> None:
        N, E = case.logits.shape
        d = 3
        generator = torch.Generator().manual_seed(case.seed)
        shapes = (N, d), (E, d, d), (N, d)
        x, w, grad = (torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes)
        results = []
        for dtype in (case.logits.dtype, torch.float64):
            leaves = [tensor.to(dtype).requires_grad_() for tensor in (case.logits, x, w)]
            p = leaves[0].softmax(-1)
            if not results:
                routing = route(p, case.real, case.capacity)
                y = combine(dispatch(leaves[1], routing) @ leaves[2], routing)
                balance = load_balancing_loss(p, case.real, routing.load)
            else:
                given = case.logits.softmax(-1).tolist()  # ties as the given precision has them
                chosen = [row.index(max(row)) for row in given]
                sent = torch.zeros(N, E, N + 1, dtype=dtype)
                queues = [0] * E
                # of tokens that are equally probable, any may have been dropped
                for n in sorted(range(N), key=lambda n: (-max(given[n]), routing.slot[n] < 0)):
                    if case.real[n]:
                        sent[n, chosen[n], queues[chosen[n]]] = 1
                        queues[chosen[n]] += 1
                load = sent.sum((0, 2))
                sent = sent[:, :, : case.capacity]
                y = torch.einsum(
                    "nec,ecd->nd", sent, torch.einsum("nec,nd->ecd", sent, leaves[1]) @ leaves[2]
                )
                y = y * p[range(N), chosen].unsqueeze(-1)
                total = max(1, int(case.real.sum()))
                mean = p[case.real].sum(0) / total
                balance = E * (load / total * mean).sum()
            found = torch.autograd.grad((y * grad).sum() + balance, leaves)
            results.append([y.detach(), balance.detach(), *found])
        # sums of at most N · d products of normal numbers
        tolerance = ROUNDINGS * unit(case.logits.dtype) * (1 + N) * d * 10
        for ours, dense in zip(*results):
            assert_within(ours, dense, tolerance)
        assert 0 <= results[0][1] <= E * (1 + tolerance)


def test_a_token_that_is_no_number_stays_one_and_spoils_no_other(for_all):
    @for_all(traffic(), 50, 300)
    def check(case: Traffic) -> None:
        N, E = case.logits.shape
        case.logits[0, case.seed % E] = math.nan
        p = case.logits.softmax(-1)
        real = torch.ones(N, dtype=torch.bool)
        routing = route(p, real)
        y = combine(dispatch(torch.ones(N, 2, dtype=p.dtype), routing), routing)
        assert y.isnan().all(-1).tolist() == [True] + [False] * (N - 1)
        assert load_balancing_loss(p, real, routing.load).isnan()


# Sensitivity and pruning

# finite float32 of at least 0 by their bits, often 0, 1, the smallest or the largest
BITS = st.sampled_from([0, 1, 2**23, 0x3F800000, 0x7F7FFFFF]) | st.integers(0, 0x7F7FFFFF)


def from_bits(bits: list[int]) -> Tensor:
    return torch.tensor(bits, dtype=torch.int32).view(torch.float32)


def test_the_least_are_those_of_a_stable_sort(for_all):
    @for_all(st.lists(st.lists(BITS | st.just(0x7F800000)), min_size=1), 100, 1000)
    def check(bits: list[list[int]]) -> None:
        scores = {str(i): from_bits(each) for i, each in enumerate(bits)}
        ranks = torch.cat(list(scores.values())).sort(stable=True).indices.sort().indices
        for count in range(0, len(ranks) + 1, 1 + len(ranks) // 4):
            masks = least(scores, count)
            assert torch.equal(torch.cat(list(masks.values())), ranks < count)


def test_the_balance_is_that_of_exact_sums(for_all):
    @for_all(st.lists(BITS, min_size=1, max_size=60), 150, 1500)
    def check(bits: list[int]) -> None:
        values = [Fraction(value) for value in sorted(from_bits(bits).tolist())]
        N, total = len(values), sum(values)
        variance = sum((value - total / N) ** 2 for value in values) / N
        found = balance(from_bits(sorted(bits)), loss=1.0)
        assert found.all.mean == pytest.approx(float(total / N), rel=1e-12)
        # a variance below ε² of the mean's square is rounding, that of equal values above all
        assert found.all.sd**2 == pytest.approx(
            float(variance), rel=1e-9, abs=1e-30 * found.all.mean**2
        )
        if total == 0:
            assert found.gini is found.all.sd_over_mean is found.top_to_bottom is None
            return
        gini = sum((2 * i - N - 1) * value for i, value in enumerate(values, 1)) / (N * total)
        assert found.gini == pytest.approx(float(gini), rel=1e-9, abs=1e-12)
        top, bottom = sum(values[N - N // 5 :]), sum(values[: N - N // 5])
        if N >= 5 and bottom:
            ratio = top / (N // 5) / (bottom / (N - N // 5))
            assert found.top_to_bottom == pytest.approx(float(ratio), rel=1e-12)


def test_the_tracked_means_are_those_of_a_sort(for_all):
    @for_all(st.lists(st.tuples(BITS, BITS), min_size=5, max_size=60), 100, 1000)
    def check(bits: list[tuple[int, int]]) -> None:
        weights, gradients = (from_bits(list(each)) for each in zip(*bits))
        parameter = torch.nn.Parameter(weights)
        parameter.grad = -gradients
        ascending = (weights * gradients).double().sort().values
        split = len(bits) - len(bits) // 5
        expected = ascending[split:].mean().item(), ascending[:split].mean().item()
        assert top_and_rest([parameter]) == pytest.approx(expected, rel=1e-12)
