"""Time and memory of the loss with its gradients, relative to its three matrix products.

For K passes of N target positions, features (K, N, d) and a projection (V, d), it compares
  triton, torch, compiled
              this project's fused loss, forward and backward, with one of three codes between a
              chunk's products: the Triton kernel, which it takes on CUDA; that in torch, which it
              takes elsewhere; what torch.compile makes of the latter
  products    only the three matrix products that every implementation needs (the logits, and the
              gradients of features and projection), whole or in the fused loss's chunks, whichever
              is faster: the lower bound
  reference   log-softmax and divergence with autograd's gradients
  linear_cross_entropy
              torch's own (since 2.13) in chunks, without divergence, only for K = 1

and for a chunk of n positions what stands between its products, in one of the three codes, with a
copy of its logits. The code must read each logit once and write each gradient once. With b bytes a
number that is 2·K·n·V·b bytes, as many as the copy moves, so that the time of the copy is the lower
bound. The kernel reads the logits twice, and moves 3/2 as many. On a GPU a chunk has more than 100
million logits, several times what its cache holds.

Time: in each round all functions take turns on each case, so that a ratio compares calls that are
close in time. The table shows medians over the rounds and, for the fused loss, the quartiles of the
ratio. On CUDA a time is that between two events around several calls.
Memory: the peak during the call above the memory before it, without the gradients; the same code
has run before. On the CPU each implementation and case has its own process.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice, zip_longest
from typing import Any
from unittest import mock

import measure
import numpy as np
import torch
import torch.nn.functional as F

from intra_distill.core import fused_loss
from intra_distill.core.divergence import x_divergence
from intra_distill.core.fused_loss import chunk_elements, fused_intra_distillation_loss
from intra_distill.core.loss import intra_distillation_loss

ALPHA = 5
SMOOTHING = 0.1
CASES = [  # K, d, V: vary the vocabulary at two widths, the width, the passes
    *[(3, d, V) for d in (128, 512) for V in (6_000, 12_000, 32_000, 64_000)],
    (3, 1024, 12_000),
    *[(K, 512, 12_000) for K in (1, 2, 4, 5, 6)],
]
POSITIONS = {"cpu": 1365, "cuda": 4096}  # N

CODES = {"cpu": ["torch"], "cuda": ["triton", "torch", "compiled"]}  # between the products
PRODUCTS = ("products, whole", "products, chunked")
OTHERS = ("reference", "linear_cross_entropy")
COPY = "copy"

Case = tuple[int, int, int]
Call = Callable[[], Any]


@dataclass(frozen=True)
class Setting:
    """What the cases of one comparison share: N, the numbers' type and the codes to compare."""

    N: int
    device: str
    dtype: str
    codes: tuple[str, ...]


@cache
def code(name: str) -> Callable[..., Any]:
    """What computes loss and gradient of a chunk of logits, as ``loss_and_gradient_`` does."""
    if name == "triton":  # not the library's choice, which falls back on torch where Triton fails
        from intra_distill.core import fused_loss_triton

        return fused_loss_triton.loss_and_gradient_
    in_torch = fused_loss.loss_and_gradient_
    return torch.compile(in_torch) if name == "compiled" else in_torch


@contextmanager
def between_products(name: str) -> Iterator[None]:
    """Have the fused loss run this code between its products, whatever the device."""
    with mock.patch.object(fused_loss, "_loss_and_gradient_on", lambda logits: code(name)):
        yield


def leaves(case: Case, N: int, device: str, dtype: str) -> tuple[torch.Tensor, ...]:
    """Make features, (K, N, d), and projection, (V, d), that need gradients, and targets, (N,)."""
    K, d, V = case
    options = {"generator": torch.Generator(device).manual_seed(1), "device": device}
    features = torch.randn(K, N, d, **options)
    weight = torch.randn(V, d, **options).div_(d**0.5)
    target = torch.randint(V, (N,), **options)
    return *(x.to(measure.DTYPES[dtype]).requires_grad_() for x in (features, weight)), target


def fused(name: str, inputs: tuple[torch.Tensor, ...], chunk_size: int | None = None) -> None:
    *wanted, target = inputs
    with between_products(name):
        parts = fused_intra_distillation_loss(
            *[*wanted, None, target, ALPHA, "x", SMOOTHING, chunk_size]
        )
    torch.autograd.grad(parts.loss, wanted)


def chunk_positions(case: Case, N: int, device: str) -> int:
    """The target positions n of the fused loss's chunks."""
    K, _, V = case
    return min(N, max(1, chunk_elements(V, device) // (K * V)))


def ways(case: Case, setting: Setting) -> dict[str, Call]:
    """Build the functions to compare; they share their inputs and take no arguments."""
    K, d, V = case
    N, device = setting.N, setting.device
    inputs = features, weight, target = leaves(case, N, device, setting.dtype)

    def reference() -> None:
        lprobs = F.linear(features, weight).log_softmax(dim=-1, dtype=torch.float32)
        parts = intra_distillation_loss(lprobs, target, ALPHA, x_divergence, SMOOTHING)
        torch.autograd.grad(parts.loss, (features, weight))

    def linear_cross_entropy() -> None:
        options = torch.nn.LinearCrossEntropyOptions()
        loss = F.linear_cross_entropy(
            *[features[0], weight, target],
            reduction="sum",
            label_smoothing=SMOOTHING,
            options=options,
        )
        torch.autograd.grad(loss, (features, weight))

    @torch.no_grad()
    def products(rows: int) -> None:
        h = features.flatten(0, 1)  # (K·N, d)
        grad_h, grad_weight = torch.empty_like(h), torch.zeros_like(weight)
        logits = h.new_empty(rows, V)
        for x, grad_x in zip(h.split(rows), grad_h.split(rows)):
            z = torch.mm(x, weight.t(), out=logits[: len(x)])
            torch.mm(z, weight, out=grad_x)
            grad_weight.addmm_(z.t(), x)

    chunk = chunk_positions(case, N, device)
    compared: dict[str, Call] = {name: partial(fused, name, inputs) for name in setting.codes}
    compared["products, whole"] = partial(products, K * N)
    compared["products, chunked"] = partial(products, K * chunk)
    compared["reference"] = reference
    if K == 1 and hasattr(F, "linear_cross_entropy"):  # since torch 2.13
        compared["linear_cross_entropy"] = linear_cross_entropy
    return compared


def between(case: Case, setting: Setting, codes: list[str]) -> dict[str, Call]:
    """Build a copy of a chunk's logits, and the copy with each code after it, which changes it."""
    K, _, V = case
    n, device = chunk_positions(case, setting.N, setting.device), setting.device
    shape = K, n, fused_loss.row_pitch(V, device)
    logits = torch.randn(shape, dtype=measure.DTYPES[setting.dtype], device=device)
    target = torch.randint(V, (n,), device=device)
    z = torch.empty_like(logits)
    options = [target, ALPHA, "x", SMOOTHING, K, float(K)]

    def copy_and(name: str) -> None:
        z.copy_(logits)
        code(name)(z[..., :V], *options)

    return {
        COPY: partial(z.copy_, logits),
        **{f"{COPY}, {name}": partial(copy_and, name) for name in codes},
    }


def extra_memory(way: str, case: Case, setting: Setting) -> int:
    """Measure the bytes besides inputs and gradients; on the CPU in a process of its own."""
    K, d, V = case
    call = ways(case, setting)[way]
    # what is loaded or compiled at first use does not count
    if setting.device == "cuda" or way == "compiled":
        call()
    else:  # in the memory of a call as large, the next would not show
        ways((K, 8, 16), Setting(4, setting.device, setting.dtype, setting.codes))[way]()
    growth = measure.memory_growth(call, setting.device)
    gradients = (K * setting.N * d + V * d) * measure.DTYPES[setting.dtype].itemsize
    return max(0, growth - gradients)


def comparison(
    cases: list[Case],
    setting: Setting,
    deadline: float,
    rounds: int | None = None,
    guard: measure.Guard = nullcontext,
    own_processes: bool = False,
) -> Iterator[list[dict[str, Any]]]:
    """Measure cases, memory in the first half of the time.

    Args:
        deadline: in seconds of :func:`time.monotonic`
        rounds: limit of rounds
        guard: around each call; where it suppresses an exception, that function is left out
        own_processes: to measure memory, which the CPU needs for exact figures
    Yields:
        the figures of each case so far, after memory and after each round
    """
    compared = {each: ways(each, setting) for each in cases}
    of_memory = [*setting.codes, *OTHERS]
    places = {f"{way} {c}": (way, c) for way in of_memory for c in cases if way in compared[c]}
    calls = {label: partial(extra_memory, *places[label], setting) for label in places}
    half = (time.monotonic() + deadline) / 2
    if own_processes:
        memory = measure.in_own_processes(calls, half, guard)
    else:
        memory = measure.in_this_process(calls, half, guard)
    for label in calls.keys() - memory.keys():
        way, too_large = places[label]
        del compared[too_large][way]
    extra = {places[label]: mib for label, mib in memory.items()}

    functions = []
    for each, of_case in compared.items():
        working = [name for name in setting.codes if name in of_case]
        functions.append(of_case | between(each, setting, working))
    timers = [
        measure.rounds(f, setting.device, deadline, measure.op_seconds, guard) for f in functions
    ]
    times: list[list[dict[str, float]]] = [[] for _ in cases]

    def so_far() -> list[dict[str, Any]]:
        return [figures(each, setting, t, extra) for each, t in zip(cases, times)]

    yield so_far()
    for together in islice(zip_longest(*timers, fillvalue={}), rounds):
        for of_case, seconds in zip(times, together):
            of_case.append(seconds)
        yield so_far()


def figures(
    case: Case,
    setting: Setting,
    times: list[dict[str, float]],
    extra: dict[tuple[str, Case], float | None],
) -> dict[str, Any]:
    """Compute a case's figures from its rounds, and from the MiB of ways and cases."""
    K, d, V = case
    N = setting.N
    seconds = {way: measure.summary(times, way, way).get("seconds", math.inf) for way in PRODUCTS}
    floor = min(PRODUCTS, key=seconds.get)
    found = {}
    for way in [*setting.codes, *PRODUCTS, *OTHERS]:
        found[way] = measure.summary(times, way, floor)
        if (way, case) in extra:
            found[way]["extra_mib"] = extra[way, case]
    n = chunk_positions(case, N, setting.device)
    row_bytes = fused_loss.row_pitch(V, setting.device) * measure.DTYPES[setting.dtype].itemsize
    copy = measure.summary(times, COPY, COPY)
    copy["bytes"] = 2 * K * n * row_bytes
    if "seconds" in copy:
        copy["gb_per_second"] = copy["bytes"] / copy["seconds"] / 1e9
        found[floor]["tflops"] = 6 * K * N * d * V / found[floor]["seconds"] / 1e12
    for name in setting.codes:
        more = measure.ratios(times, f"{COPY}, {name}", COPY)
        if more:
            found[name]["copies"] = float(np.median(more)) - 1
    return {
        **{"K": K, "N": N, "d": d, "V": V, "n": n, "dtype": setting.dtype},
        **{"rounds": measure.complete(times), "floor": floor, "copy": copy},
        "ways": {way: of_way for way, of_way in found.items() if of_way},
        "times": times,
    }


def time_table(cases: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of the times, as multiples of the products'."""
    names = _names(cases)
    rows = []
    for case in cases:
        products = case["ways"].get(case["floor"], {})
        row = [
            *_sizes(case),
            measure.cell("{:.2f}", {"ms": 1000 * products["seconds"]} if products else {}, "ms"),
            measure.cell("{:.1f}", products, "tflops"),
        ]
        for name in names:
            of_ours = name not in OTHERS
            pattern = "{:.2f} ({:.2f}–{:.2f})" if of_ours else "{:.2f}"
            keys = ["ratio", "ratio_low", "ratio_high"][: 3 if of_ours else 1]
            row.append(measure.cell(pattern, case["ways"].get(name, {}), *keys))
        rows.append(row)
    return [*SIZES, "products, ms", "TFLOP/s", *(f"{name}, × products" for name in names)], rows


def memory_table(cases: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of what stands between the products, and of the memory."""
    names = _names(cases)
    codes = [name for name in names if name not in OTHERS]
    rows = [
        [
            *_sizes(case),
            measure.cell("{:,.0f}", case["copy"], "gb_per_second"),
            *(measure.cell("{:.2f}", case["ways"].get(name, {}), "copies") for name in codes),
            *(measure.cell("{:,.0f}", case["ways"].get(name, {}), "extra_mib") for name in names),
        ]
        for case in cases
    ]
    between = [f"{name}, × copy" for name in codes]
    return [*SIZES, "copy, GB/s", *between, *(f"{name}, MiB" for name in names)], rows


def _names(cases: list[dict[str, Any]]) -> list[str]:
    present = {name for case in cases for name in case["ways"]}
    return [name for name in [*CODES["cuda"], *OTHERS] if name in present]


SIZES = ["type", "K", "d", "V"]


def _sizes(case: dict[str, Any]) -> list[str]:
    return [case["dtype"], str(case["K"]), str(case["d"]), f"{case['V']:,}"]


def sweep(
    case: Case,
    setting: Setting,
    elements: Iterable[int],
    deadline: float,
    rounds: int,
    guard: measure.Guard = nullcontext,
) -> list[dict[str, float]]:
    """Measure the fused loss with the first of the codes in chunks of so many logits.

    Returns:
        of each size the seconds, and their ratio to those of the chunk that the loss chooses
    """
    K, _, V = case
    inputs = leaves(case, setting.N, setting.device, setting.dtype)
    call = partial(fused, setting.codes[0], inputs)
    calls = {
        "own": call,
        **{f"{size}": partial(call, max(1, size // (K * V))) for size in elements},
    }
    times = measure.rounds(calls, setting.device, deadline, measure.op_seconds, guard)
    times = list(islice(times, rounds))
    return [{"logits": size, **measure.summary(times, f"{size}", "own")} for size in elements]


def case(text: str) -> Case:
    K, d, V = map(int, text.split("x"))
    if min(K, d, V) < 1 or V == 1:
        raise ValueError
    return K, d, V


def parse() -> argparse.Namespace:
    parser = measure.parser(__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", type=case, metavar="KxDxV", default=CASES)
    parser.add_argument(
        "--positions",
        type=int,
        help=f"N (default: {POSITIONS['cpu']}, on CUDA {POSITIONS['cuda']})",
    )
    parser.add_argument(
        "--codes", nargs="+", choices=CODES["cuda"], help="of the fused loss (default: by device)"
    )
    args = measure.parse(parser)
    args.positions = POSITIONS[args.device] if args.positions is None else args.positions
    if args.positions < 1:
        parser.error("--positions: at least 1")
    args.codes = args.codes or CODES[args.device]
    args.cases = list(dict.fromkeys(args.cases))
    return args


def main() -> None:
    args = parse()
    record = measure.Record(args)
    setting = Setting(args.positions, args.device, args.dtype, tuple(args.codes))
    deadline = time.monotonic() + args.seconds
    measured = comparison(
        *(args.cases, setting, deadline, args.rounds, measure.left_out),
        own_processes=args.device == "cpu",
    )
    for cases in measured:
        record.write({"cases": cases})
    for table in (time_table(cases), memory_table(cases)):
        record.show(*table)
    record.sign(min(case["rounds"] for case in cases))


if __name__ == "__main__":
    main()
