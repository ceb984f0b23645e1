import torch
from torch import nn

from intra_distill.core.cutoff import cut_tokens, token_embeddings
from intra_distill.core.passes_in_memory import limit_passes_in_memory
from intra_distill.core.replicate import Copies, replicate, split_passes

K = 3


class Model(nn.Module):
    """Its output is what its embeddings give."""

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(50, 4)
        self.project = nn.Linear(4, 4)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self.embed_tokens(tokens), None


def embedded(model: nn.Module, copies: Copies, tokens: torch.Tensor) -> torch.Tensor:
    with copies.in_model(0, K):
        return split_passes(model(**replicate({"tokens": tokens}, K))[0], K)


def test_all_copies_but_the_first_lose_whole_tokens_at_the_given_rate():
    model, copies = Model(), Copies()
    tokens = torch.randint(50, (40, 50))
    cut_tokens(model, copies, 0.3)
    torch.manual_seed(0)
    whole, *cut = embedded(model, copies, tokens)
    assert torch.equal(whole, model.embed_tokens(tokens))
    lost = [copy.eq(0).all(dim=-1) for copy in cut]
    for copy, zeros in zip(cut, lost, strict=True):
        assert torch.equal(copy[~zeros], whole[~zeros])
        assert abs(zeros.float().mean() - 0.3) < 0.03  # 2,000 tokens: three standard deviations
    assert not torch.equal(*lost)


def test_what_was_cut_has_no_gradient():
    model, copies = Model(), Copies()
    cut_tokens(model, copies, 0.5)
    tokens = torch.arange(10).view(1, 10)  # each type once
    outputs = embedded(model, copies, tokens)
    outputs[1].sum().backward()
    kept = outputs[1, 0].ne(0).any(dim=-1)
    assert torch.equal(model.embed_tokens.weight.grad[:10].ne(0).any(dim=-1), kept)
    assert 0 < kept.sum() < 10


def test_a_batch_that_is_not_replicated_stays_whole_and_draws_nothing():
    model, tokens = Model(), torch.arange(10).view(2, 5)
    expected = model.embed_tokens(tokens)
    cut_tokens(model, Copies(), 0.9)
    state = torch.get_rng_state()
    assert torch.equal(model(tokens)[0], expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_in_groups_the_first_copy_alone_is_whole():
    model, copies = Model(), Copies()
    tokens = torch.randint(50, (20, 20))
    cut_tokens(model, copies, 0.3)
    limit_passes_in_memory(model, copies, 1)
    whole, *cut = embedded(model, copies, tokens)
    assert torch.equal(whole, model.embed_tokens(tokens))
    assert all(0.2 < copy.eq(0).all(dim=-1).float().mean() < 0.4 for copy in cut)


def test_embeddings_that_source_and_target_share_are_cut_once():
    encoder, decoder = Model(), Model()
    decoder.embed_tokens = encoder.embed_tokens
    both = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    assert token_embeddings(both) == [encoder.embed_tokens]
    assert token_embeddings(encoder.project) == []
