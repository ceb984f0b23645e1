"""--passes-in-memory M trains as K passes side by side do, but for the memory it takes."""

import pytest
import torch
from fairseq.modules import FairseqDropout
from fairseq.optim.fp16_optimizer import FP16Optimizer
from torch import Tensor, nn

from ..support.training import INTRA, LSTM, TINY_TRANSFORMER, run_training

K = 3
OPTIONS = [*INTRA, "--alpha", "1", "--num-passes", str(K)]


class InjectedMasks:
    """Dropout whose masks depend on the place and the copy alone, not on the order of sweeps."""

    def __init__(self, model: nn.Module, batch_size: int, passes_in_memory: int) -> None:
        self.batch_size = batch_size
        starts = list(range(0, K, passes_in_memory))
        second_sweeps = starts[::-1] if len(starts) > 1 else []
        self.starts = iter(starts + second_sweeps)
        model.encoder.register_forward_pre_hook(self.next_sweep)
        dropouts = (module for module in model.modules() if isinstance(module, FairseqDropout))
        sites = [dropout for dropout in dropouts if dropout.p > 0]
        assert len(sites) > 2
        for number, site in enumerate(sites):
            site.p = 0.0
            site.register_forward_hook(lambda _, inputs, x, number=number: self.mask(x, number))

    def next_sweep(self, *_) -> None:
        self.start = next(self.starts)

    def mask(self, x: Tensor, site: int) -> Tensor:
        (dim,) = [d for d, size in enumerate(x.shape) if size in self.sizes()]
        copies = x.size(dim) // self.batch_size
        shape = [*x.shape[:dim], self.batch_size, *x.shape[dim + 1 :]]
        masks = []
        for copy in range(self.start, self.start + copies):
            random = torch.Generator().manual_seed(100 * site + copy)
            masks.append(torch.rand(shape, generator=random).gt(0.3).to(x))
        return x * torch.cat(masks, dim)

    def sizes(self) -> list[int]:
        return [copies * self.batch_size for copies in range(1, K + 1)]


def sample_of_seven(trainer) -> dict:
    """A batch whose size is not to be mistaken for a length or a width of the tiny models."""
    dataset = trainer.task.dataset("train")
    longest = sorted(range(len(dataset)), key=dataset.src_sizes.__getitem__)[-7:]
    return dataset.collater([dataset[i] for i in longest])


@pytest.mark.parametrize("options", [[], ["--checkpoint-activations"]], ids=["", "checkpoints"])
@pytest.mark.parametrize("implementation", ["fused", "plain"])
@pytest.mark.parametrize("M", [1, 2])
def test_gradients_are_those_of_the_passes_side_by_side(
    trainer, gradients, M, implementation, options
):
    losses, grads = [], []
    for passes_in_memory in (K, M):
        built = trainer(
            *[*OPTIONS, *options, "--loss-implementation", implementation],
            *["--passes-in-memory", str(passes_in_memory)],
        )
        sample = sample_of_seven(built)
        masks = InjectedMasks(built.model, 7, passes_in_memory)
        loss, _, log, grad = gradients(built, sample)
        assert next(masks.starts, None) is None and log["divergence"] > 0.1
        losses.append(loss)
        grads.append(grad)
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options, model",
    [
        ([], LSTM),
        (["--update-freq", "2"], TINY_TRANSFORMER),
        (["--attention-dropout", "0.1", "--encoder-layerdrop", "0.5"], TINY_TRANSFORMER),
    ],
    ids=["lstm", "update-freq", "all kinds of dropout"],
)
def test_a_stopped_run_goes_on_as_if_undisturbed(configure, tmp_path, options, model):
    runs = {}
    for name, limits in {"whole": [6], "resumed": [3, 6]}.items():
        for limit in limits:
            cfg = configure(
                *[*INTRA, "--alpha", "1", "--passes-in-memory", "1", *options],
                *["--max-update", str(limit), "--save-dir", str(tmp_path / name)],
                model=model,
            )
            run_training(cfg)
        state = torch.load(tmp_path / name / "checkpoint_last.pt", weights_only=True)
        runs[name] = state["model"]
    torch.testing.assert_close(runs["whole"], runs["resumed"], rtol=0, atol=0)


def test_fp16_with_its_loss_scale(trainer, gradients):
    grads = []
    for passes_in_memory in (K, 1):
        built = trainer(
            *[*OPTIONS, "--passes-in-memory", str(passes_in_memory), "--fp16-no-flatten-grads"]
        )
        built.model.half()
        parameters = list(built.model.parameters())
        built._optimizer = FP16Optimizer.build_optimizer(built.cfg, parameters)
        sample = sample_of_seven(built)
        InjectedMasks(built.model, 7, passes_in_memory)
        gradients(built, sample)
        assert built.optimizer.clip_grad_norm(0) > 0
        built.optimizer._unscale_grads()
        grads.append(torch.cat([p.grad.flatten() for p in built.optimizer.fp32_params]))
    side_by_side, grouped = grads
    assert (grouped - side_by_side).norm() < 0.01 * side_by_side.norm()


def test_checkpointed_activations_on_several_ranks_want_legacy_ddp(trainer):
    options = [*OPTIONS, "--passes-in-memory", "1", "--checkpoint-activations"]
    ranks = ["--distributed-world-size", "2", "--distributed-no-spawn"]
    with pytest.raises(SystemExit, match="needs --ddp-backend legacy_ddp"):
        trainer(*options, *ranks)
