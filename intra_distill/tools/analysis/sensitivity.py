"""The sensitivity |θ ⊙ ḡ| of a checkpoint's parameters, equation (2), in the unit of the loss."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from fairseq import utils
from fairseq.tasks import FairseqTask
from torch import Tensor
from tqdm import tqdm

from ...checkpoints import load_model, read_checkpoint
from ...core.sensitivity import Sensitivity, sensitivity
from ...errors import UserError
from ...files import sha256
from .batches import Batches, Settings, refuse_long_batches
from .parameter_scores import ParameterScores, read_scores, write_scores
from .training_data import TrainingData


def score(
    scores_path: Path,
    checkpoint: Path,
    data: TrainingData,
    task: FairseqTask,
    chosen: Batches,
    settings: Settings,
    device: torch.device,
) -> ParameterScores:
    """Read the scores of a checkpoint from ``scores_path``, or compute them and write them there.

    Raises:
        UserError: a score is NaN or infinite, or the file holds something else
    """
    options = {
        **asdict(settings),
        **data.options(read_checkpoint(checkpoint)),
        "batches_used": len(chosen),
        "sentences_sha256": chosen.sha256,
    }
    digest = sha256(checkpoint)
    if scores_path.exists():
        stored = read_scores(scores_path)
        if (stored.checkpoint_sha256, stored.options) == (digest, options):
            reused = f"{scores_path} is of this checkpoint and these settings: not computed again"
            print(reused, file=sys.stderr)
            return stored

    tensors, loss = compute(checkpoint, data, task, chosen, settings, device)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{checkpoint}: the sensitivity of {name} is NaN or infinite")
        tensors[name] = tensor.cpu()
    write_scores(scores_path, ParameterScores(tensors, digest, options, loss))
    return read_scores(scores_path)  # these tensors take no memory until they are used


def compute(
    checkpoint: Path,
    data: TrainingData,
    task: FairseqTask,
    chosen: Batches,
    settings: Settings,
    device: torch.device,
) -> Sensitivity:
    """Score the parameters by the gradient over the batches, on the model's device."""
    model = load_model(checkpoint, task)
    refuse_long_batches(checkpoint, model, data, chosen)
    # a parameter that was frozen in training contributes as well
    model.to(device).train(settings.dropout).requires_grad_(True)
    loss_of = data.loss(task, data.options(read_checkpoint(checkpoint)))
    utils.set_torch_seed(settings.seed)

    def losses() -> Iterator[tuple[Tensor, int]]:
        for batch in tqdm(chosen, desc=str(checkpoint), unit="batch", disable=None):
            yield loss_of(model, utils.move_to_cuda(batch, device))

    # cuDNN's recurrent networks compute gradients only in training mode
    with torch.backends.cudnn.flags(enabled=settings.dropout):
        return sensitivity(model, losses(), settings.mean_of_absolute)
