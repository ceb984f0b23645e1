"""SimCut (Gao et al., NAACL 2022) is K = 2 with cutoff, one supervised pass and the divergence kl.

The reference is a plain writing of its definition, CE(y, p) + α KL(p‖p_cut), whose gradient goes
through both distributions, on a model that knows nothing of copies.
"""

import pytest
import torch
import torch.nn.functional as F
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss

from intra_distill.core.cutoff import token_embeddings

from ..support.training import INTRA, PLAIN

ALPHA = 3.0
SIMCUT = [
    *[*INTRA, "--num-passes", "2", "--cutoff", "0.3", "--divergence", "kl"],
    *["--supervised-passes", "1", "--alpha", str(ALPHA), "--constant-alpha"],
]
NO_DROPOUT = ["--dropout", "0"]  # so that only the cutoff is random


class Cut:
    """Makes a model's next pass lose the tokens that the second of another model's passes lost."""

    def __init__(self, simcut_model: torch.nn.Module, model: torch.nn.Module) -> None:
        self.kept: list[torch.Tensor] = []  # on the source side and then on the target side
        self.applied = False
        for embed in token_embeddings(simcut_model):
            embed.register_forward_hook(self.see)
        for embed in token_embeddings(model):
            embed.register_forward_hook(self.apply)

    def see(self, _embed, _inputs, output):
        self.kept.append(output.chunk(2)[1].ne(0).any(dim=-1))

    def apply(self, _embed, _inputs, output):
        return output * self.kept.pop(0).unsqueeze(-1) if self.applied else output


def simcut(built, sample, cut: Cut) -> torch.Tensor:
    """The definition, with label smoothing 0.1, as a sum over the target tokens."""
    target = sample["target"].flatten()
    scored = target.ne(built.task.target_dictionary.pad())

    def lprobs() -> torch.Tensor:
        output = built.model(**sample["net_input"])
        return built.model.get_normalized_probs(output, log_probs=True).flatten(0, 1)[scored]

    whole = lprobs()
    cut.applied = True
    divergence = F.kl_div(lprobs(), whole, log_target=True, reduction="sum")
    cross_entropy, _ = label_smoothed_nll_loss(whole, target[scored].unsqueeze(-1), 0.1)
    return cross_entropy + ALPHA * divergence


@pytest.mark.parametrize("implementation", ["plain", "fused"])
@pytest.mark.parametrize("sharing", [[], ["--share-all-embeddings"]], ids=" ".join)
def test_loss_and_gradients_are_those_of_the_definition(
    trainer, gradients, implementation, sharing
):
    options = [*NO_DROPOUT, *sharing]
    ours = trainer(*SIMCUT, "--loss-implementation", implementation, *options)
    theirs = trainer(*PLAIN, *options)
    theirs.model.load_state_dict(ours.model.state_dict())
    cut, sample = Cut(ours.model, theirs.model), ours.batches[0]
    loss, _, log, grads = gradients(ours, sample)
    assert len(cut.kept) == 2 and log["divergence"] > 0
    theirs.model.train()
    expected = simcut(theirs, sample, cut)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach())
    for name, parameter in theirs.model.named_parameters():
        torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)
