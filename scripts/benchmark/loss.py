"""Time and memory of the loss with its gradients, relative to its three matrix products.

For K passes of N target positions, features (K, N, d) and a projection (V, d), it compares
  fused       this project's fused loss, forward and backward
  products    only the three matrix products that every implementation needs (the logits, and the
              gradients of features and projection), whole or in the fused loss's chunks, whichever
              is faster: the lower bound
  reference   log-softmax and divergence with autograd's gradients
  torch       torch's own linear_cross_entropy in chunks, without divergence, only for K = 1

Time: in each round all four take turns on each case, so that a ratio compares calls that are close
in time. The table shows medians over the rounds and, for fused, the quartiles of the ratio.
Memory: each implementation and case has its own process, which first runs the same code at a tiny
size. The table shows the peak during the call above the memory before it, without the gradients.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice, zip_longest

import measure
import torch
import torch.nn.functional as F

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

PRODUCTS = ("products, whole", "products, chunked")
MEASURED = ("fused", "torch", "reference")

Case = tuple[int, int, int]


def ways(case: Case, N: int, device: str, dtype: str) -> dict[str, Callable[[], None]]:
    """Build the functions to compare; they share their inputs and take no arguments."""
    K, d, V = case
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(K, N, d, generator=generator)
    weight = torch.randn(V, d, generator=generator).div_(d**0.5)
    leaves = [x.to(device, measure.DTYPES[dtype]).requires_grad_() for x in (features, weight)]
    features, weight = leaves
    target = torch.randint(V, (N,), generator=generator).to(device)

    def fused() -> None:
        parts = fused_intra_distillation_loss(*leaves, None, target, ALPHA, "x", SMOOTHING)
        torch.autograd.grad(parts.loss, leaves)

    def reference() -> None:
        lprobs = F.linear(*leaves).log_softmax(dim=-1, dtype=torch.float32)
        parts = intra_distillation_loss(lprobs, target, ALPHA, x_divergence, SMOOTHING)
        torch.autograd.grad(parts.loss, leaves)

    def linear_cross_entropy() -> None:
        options = torch.nn.LinearCrossEntropyOptions()
        loss = F.linear_cross_entropy(
            *[features[0], weight, target],
            reduction="sum",
            label_smoothing=SMOOTHING,
            options=options,
        )
        torch.autograd.grad(loss, leaves)

    @torch.no_grad()
    def products(rows: int) -> None:
        h = features.flatten(0, 1)  # (K·N, d)
        grad_h, grad_weight = torch.empty_like(h), torch.zeros_like(weight)
        logits = h.new_empty(rows, V)
        for x, grad_x in zip(h.split(rows), grad_h.split(rows)):
            z = torch.mm(x, weight.t(), out=logits[: len(x)])
            torch.mm(z, weight, out=grad_x)
            grad_weight.addmm_(z.t(), x)

    elements = chunk_elements(V, device)
    chunk = min(N, max(1, elements // (K * V)))
    compared = {
        "fused": fused,
        "products, whole": partial(products, K * N),
        "products, chunked": partial(products, K * chunk),
        "reference": reference,
    }
    if K == 1 and hasattr(F, "linear_cross_entropy"):  # since torch 2.13
        compared["torch"] = linear_cross_entropy
    return compared


def extra_memory(way: str, case: Case, N: int, device: str, dtype: str) -> int:
    """Measure the bytes besides inputs and gradients; must run in a process of its own."""
    K, d, V = case
    # libraries that are loaded at first use do not count
    ways((K, 8, 16), 4, device, dtype)[way]()
    growth = measure.memory_growth(ways(case, N, device, dtype)[way], device)
    return growth - (K * N * d + V * d) * measure.DTYPES[dtype].itemsize


def case(text: str) -> Case:
    K, d, V = map(int, text.split("x"))
    return K, d, V


def main() -> None:
    parser = measure.parser(__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", type=case, metavar="KxDxV", default=CASES)
    parser.add_argument("--positions", type=int, default=1365, help="N (%(default)s)")
    args = measure.parse(parser)
    start = time.monotonic()
    inputs = args.positions, args.device, args.dtype
    compared = {c: ways(c, *inputs) for c in args.cases}
    places = {f"{way} {c}": (way, c) for way in MEASURED for c in compared if way in compared[c]}
    calls = {label: partial(extra_memory, *places[label], *inputs) for label in places}
    memory = measure.in_own_processes(calls, start + args.seconds / 2)
    for label in calls.keys() - memory.keys():
        way, too_large = places[label]  # it ran out of memory
        del compared[too_large][way]

    timers = [measure.rounds(f, args.device, start + args.seconds) for f in compared.values()]
    times = list(islice(zip_longest(*timers, fillvalue={}), args.rounds))  # by round and case
    results, rows = [], []
    for (K, d, V), rounds in zip(compared, zip(*times)):
        seconds = {way: measure.summary(rounds, way, way).get("seconds", 0) for way in PRODUCTS}
        floor = min(PRODUCTS, key=seconds.get)
        found = {way: measure.summary(rounds, way, floor) for way in compared[K, d, V]}
        for way in found.keys() & MEASURED:
            found[way]["extra_mib"] = memory[f"{way} {(K, d, V)}"]
        results.append({"K": K, "N": args.positions, "d": d, "V": V, "floor": floor, "ways": found})
        fused, torchs, reference = (found.get(way, {}) for way in MEASURED)
        row = [
            *[str(K), str(d), f"{V:,}"],
            measure.cell("{:.3f}", found[floor], "seconds"),
            measure.cell("{:.2f} ({:.2f}–{:.2f})", fused, "ratio", "ratio_low", "ratio_high"),
            *[measure.cell("{:.2f}", way, "ratio") for way in (torchs, reference)],
            *[measure.cell("{:,.1f}", way, "extra_mib") for way in (fused, torchs, reference)],
        ]
        rows.append(row)
    columns = ["K", "d", "V", "products, s", "fused (quartiles)", "torch", "reference"]
    columns += [f"{way}, MiB" for way in MEASURED]
    every_way = sum(map(len, compared.values()))
    complete = sum(sum(map(len, round)) == every_way for round in times)
    measure.report(args, complete, {"cases": results}, columns, rows)


if __name__ == "__main__":
    main()
