"""Strange numbers: training.

The criteria in fairseq's own trainer meet NaN, empty batches and an overflow of fp16: what happens
is what happens without the plugin.
"""

import copy
import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from fairseq import utils
from fairseq.modules import FairseqDropout
from fairseq.optim import FP16Optimizer
from torch import Tensor

from ..support.devices import DEVICES
from ..support.training import INTRA, PLAIN, SELF, SMOOTHED, TINY_TRANSFORMER

FAIRSEQ = ["--task", "translation", "--criterion", "label_smoothed_cross_entropy", *SMOOTHED]
SWITCH = ["--arch", "switch_transformer_tiny", *TINY_TRANSFORMER[2:]]
ALL_TO_THEIR_EXPERTS = ["--capacity-factor", "100", "--router-jitter", "0"]
SYSTEMS = {
    "one pass": [*INTRA, "--num-passes", "1", "--alpha", "0"],
    "fused, X": INTRA,
    "fused, JS": [*INTRA, "--divergence", "js"],
    "KL of the first": [*INTRA, "--divergence", "kl", "--supervised-passes", "1"],
    "plain": [*INTRA, "--loss-implementation", "plain"],
    "one in memory": [*INTRA, "--passes-in-memory", "1"],
    "self-distillation": SELF,
}


@pytest.fixture
def build(trainer, student):
    """Options of a system → its trainer; where it has a teacher, that is the student itself."""

    def build(options: list[str], *more: str, model: list[str] = TINY_TRANSFORMER):
        if options is not SELF:
            return trainer(*options, *more, model=model)
        built = student(*more)
        built.criterion.teacher.model.load_state_dict(built.model.state_dict())
        return built

    return build


def without_dropout(built):
    for module in built.model.modules():
        if isinstance(module, FairseqDropout):
            module.p = 0.0
    return built


def parameters(built) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in built.model.named_parameters()}


@contextmanager
def nan_in(built, place: str) -> Iterator[None]:
    if place == "loss":
        hook = built.criterion.register_forward_hook(
            lambda module, inputs, output: (output[0] * math.nan, *output[1:])
        )
        yield
        hook.remove()
        return
    weight = built.model.get_parameter(place).data
    before = weight.clone()
    weight[built.batches[0]["target"][0, 0]] = math.nan  # the languages share a dictionary
    yield
    weight.copy_(before)


def how_it_stops(built, caplog, folder: Path) -> tuple:
    """What is seen of fairseq's guard when a training step meets a NaN."""
    caplog.clear()
    with pytest.raises(Exception) as stop:
        built.train_step(built.batches[:1])
    # where it looks for the place, a guard of fairseq's may trip over a torch newer than itself
    errors = [stop.value]
    while errors[-1].__context__:
        errors.append(errors[-1].__context__)
    detected = [m.split(", shape")[0] for m in caplog.messages if "detected in output" in m]
    crash = folder / "crash.pt"
    saved = crash.is_file()
    crash.unlink(missing_ok=True)
    return str(errors[-1]), type(errors[-1]), detected, saved, built.get_num_updates()


def test_a_nan_stops_the_training_as_it_does_without_the_plugin(build, inject, caplog, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    places = "loss", "encoder.embed_tokens.weight", "decoder.output_projection.weight"
    stops = {}
    for name, options in {"fairseq": FAIRSEQ, **SYSTEMS}.items():
        if name == "one in memory" and torch.__version__ < "2.7":
            continue  # what fails there in a recomputation spoils the next one of the process
        built = build(options)
        before = parameters(built)
        for place in places:
            with nan_in(built, place):
                stops[name, place] = how_it_stops(built, caplog, folder)
            inject()
            assert stops[name, place] == stops["fairseq", place], (name, place)
        torch.testing.assert_close(parameters(built), before, rtol=0, atol=0)
    message, error, *_ = stops["fairseq", "loss"]
    assert error is FloatingPointError and "Nan/Inf" in message
    assert stops["fairseq", places[1]][2]  # the detector names the place


LIMIT = 10


def strange_batches(built) -> dict[str, dict]:
    dictionary = built.task.target_dictionary
    eos, pad, unk = dictionary.eos(), dictionary.pad(), dictionary.unk()
    word = dictionary.index("a")

    def batch(*pairs: tuple[list[int], list[int]]) -> dict:
        return built.task.dataset("train").collater(
            [
                {"id": i, **{side: torch.tensor([*words, eos]) for side, words in sides.items()}}
                for i, sides in enumerate(
                    {"source": source, "target": target} for source, target in pairs
                )
            ]
        )

    long = [word] * (LIMIT - 1)
    batches = {
        "nothing but </s>": batch(([], [])),
        "nothing but </s>, twice": batch(([], []), ([], [])),
        "an empty source": batch(([], long)),
        "an empty target among others": batch((long, []), ([word], [word])),
        "one sentence": batch(([word, word], [word, unk])),
        "at the limit": batch((long, long), (long, long)),
        "nothing but unknown words": batch(([unk] * 3, [unk] * 3)),
        "a target of padding": batch(([word], [word, word]), ([word], [word])),
        "targets of padding": batch(([word], [word, word]), ([word], [word])),
    }
    for name, rows in {"a target of padding": [1], "targets of padding": [0, 1]}.items():
        batches[name]["target"][rows] = pad
        batches[name]["ntokens"] = int(batches[name]["target"].ne(pad).sum())
    return batches


def test_strange_batches_are_learnt_from_as_without_the_plugin(build, gradients, inject):
    """K passes without dropout are one, and a student that is its teacher learns from gold."""
    limits = [f"--max-{side}-positions={LIMIT}" for side in ("source", "target")]
    systems = {name: (options, TINY_TRANSFORMER) for name, options in SYSTEMS.items()}
    systems["switch"] = [*INTRA, *ALL_TO_THEIR_EXPERTS], SWITCH
    references = {
        " ".join(TINY_TRANSFORMER): build(FAIRSEQ, *limits),
        " ".join(SWITCH): build(PLAIN, *ALL_TO_THEIR_EXPERTS, *limits, model=SWITCH),
    }
    for system, (options, model) in systems.items():
        reference, ours = references[" ".join(model)], build(options, *limits, model=model)
        reference.model.load_state_dict(ours.model.state_dict())
        for name, sample in strange_batches(ours).items():
            logged = ours.train_step([sample])  # with dropout
            their_logged = reference.train_step([sample])
            inject()
            finite = {key for key, value in logged.items() if math.isfinite(value)}
            assert finite >= {k for k, value in their_logged.items() if math.isfinite(value)}, name
            assert all(p.isfinite().all() for p in ours.model.parameters())
        without_dropout(ours), without_dropout(reference)
        reference.model.load_state_dict(ours.model.state_dict())
        if options is SELF:
            ours.criterion.teacher.model.load_state_dict(ours.model.state_dict())
        for name, sample in strange_batches(ours).items():
            loss, size, _, grads = gradients(ours, sample, update=11)  # where α′ is α
            right_loss, right_size, _, right = gradients(reference, sample)
            inject()
            assert size == right_size
            assert (right_loss == 0) == (name == "targets of padding")
            torch.testing.assert_close(loss, right_loss, msg=lambda m: f"{system}, {name}: {m}")
            for parameter in right:
                torch.testing.assert_close(grads[parameter], right[parameter], rtol=1e-4, atol=1e-5)


def test_sentences_beyond_the_limit_are_left_out_as_without_the_plugin(build, inject, caplog):
    limits = ["--max-source-positions", "5", "--max-target-positions", "5"]
    told = {}
    for name in ("fairseq", "fused, X", "self-distillation"):
        caplog.clear()
        options = SYSTEMS.get(name, FAIRSEQ)
        built = build(options, *limits)
        skipped = [m for m in caplog.messages if "invalid sizes" in m]
        built.task.load_dataset("valid")
        with pytest.raises(Exception, match="Size of sample") as refusal:
            built.get_valid_iterator("valid")
        told[name] = skipped[-1], str(refusal.value)
        lengths = [batch["target"].size(1) for batch in built.batches]
        assert max(lengths) == 5
        assert math.isfinite(built.train_step([built.batches[lengths.index(5)]])["loss"])
        inject()
    assert len(set(told.values())) == 1


# fp16: the loss scale


def loss_scales(
    built, cfg, device: str, steps: int, overflowing: Collection[int] = ()
) -> list[float | str]:
    """The loss scale after each step of training in fp16, and how the training ended if it did."""
    model = built.model.to(device).half()
    optimizer = FP16Optimizer.build_optimizer(cfg, list(model.parameters()))
    projection = model.decoder.output_projection.weight.data
    scales = []
    for step in range(steps):
        sample = built.batches[step % len(built.batches)]
        sample = utils.move_to_cuda(sample) if device == "cuda" else sample
        before = projection.clone()
        if step in overflowing:
            projection.sign_().mul_(6e4)  # no logit fits into fp16
        torch.manual_seed(step)
        optimizer.zero_grad()
        _, size, _ = built.task.train_step(
            sample, model.train(), built.criterion, optimizer, update_num=step
        )
        optimizer.all_reduce_grads(model)
        optimizer.multiply_grads(1 / size)
        try:
            optimizer.clip_grad_norm(0.0)
            optimizer.step()
        except OverflowError:
            projection.copy_(before)
        except FloatingPointError as error:
            return [*scales, str(error)]
        scales.append(optimizer.scaler.loss_scale)
    assert all(p.isfinite().all() for p in model.parameters())
    return scales


@pytest.mark.parametrize("device", DEVICES)
def test_the_loss_scale_backs_off_as_without_the_plugin(build, configure, inject, device):
    cfg = configure(*FAIRSEQ, "--fp16", "--fp16-no-flatten-grads", "--min-loss-scale", "1")
    scales = {}
    for name, options in {"fairseq": FAIRSEQ, **SYSTEMS}.items():
        built = build(options)
        start = copy.deepcopy(built.model.state_dict())

        def run(scale: int, *arguments) -> list[float | str]:
            built.model.float().load_state_dict(start)
            cfg.common.fp16_init_scale = scale
            inject()
            return loss_scales(built, cfg, device, *arguments)

        now_and_then, always, at_first = run(128, 8, {2, 5, 6}), run(8, 9, range(9)), run(2**16, 9)
        assert now_and_then == [128, 128, 64, 64, 64, 32, 16, 16]
        assert always[:-1] == [4, 2] and "Minimum loss scale" in always[-1]
        scales[name] = at_first
        # α times a divergence, or a teacher, adds to the gradient: it may take two steps more
        assert 2**10 <= min(scales["fairseq"]) <= 4 * min(at_first)
    assert scales["one pass"] == scales["fairseq"]
    assert scales["fused, X"] == scales["plain"]
