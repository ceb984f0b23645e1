"""R-Drop (Wu et al. 2021) is intra-distillation with K = 2, X-divergence and a constant α.

Loss and gradients of one batch are compared in test_intra_distillation.py; here, whole training
with the published α = 5. The loss of fairseq's own criterion is twice as large.
"""

import copy

import pytest
from fairseq.modules import FairseqDropout

from intra_distill.core.cpu_dropout import draw_integers

from ..support.training import INTRA, SMOOTHED

ALPHA = "5"
OPTIMIZERS = {  # of the half and of the whole loss
    "sgd": (["--optimizer", "sgd", "--lr", "0.2"], ["--optimizer", "sgd", "--lr", "0.1"]),
    "adam": (["--adam-eps", "1e-6"], ["--adam-eps", "2e-6"]),  # blind to the factor, but for ε
}


@pytest.mark.parametrize("implementation", ["plain", "fused"])
@pytest.mark.parametrize("ours, theirs", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("options", [[], ["--update-freq", "2", "--share-all-embeddings"]])
def test_training_gives_the_parameters_of_fairseqs_r_drop(
    trainer, implementation, ours, theirs, options
):
    common = ["--clip-norm", "0", *options]
    intra = trainer(
        *[*INTRA, "--num-passes", "2", "--alpha", ALPHA, "--constant-alpha", "--divergence", "x"],
        *["--loss-implementation", implementation, *common, *ours],
    )
    r_drop = trainer(
        *["--task", "translation", "--criterion", "label_smoothed_cross_entropy_with_rdrop"],
        *["--rdrop-alpha", ALPHA, *SMOOTHED, *common, *theirs],
    )
    r_drop.model.load_state_dict(intra.model.state_dict())
    draw_integers(r_drop.model, FairseqDropout)  # the same masks
    start = copy.deepcopy(intra.model.state_dict())
    accumulated = 2 if options else 1
    for update in range(6):
        first = accumulated * update
        samples = intra.batches[first : first + accumulated]
        intra.train_step(samples)
        # fairseq's criterion changes its batch
        r_drop.train_step(copy.deepcopy(samples))
    assert intra.get_num_updates() == r_drop.get_num_updates() == 6
    trained = r_drop.model.state_dict()
    for name, parameter in intra.model.named_parameters():
        if name.endswith("k_proj.bias"):
            continue  # softmax is blind to it: its gradient is rounding, which Adam blows up
        moved = (parameter - start[name]).norm()
        assert moved > 1e-3, name
        assert (parameter - trained[name]).norm() < 1e-3 * moved, name
