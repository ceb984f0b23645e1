import pytest
import torch
from fairseq.modules import LayerDropModuleList
from torch import nn

from intra_distill.core.layerdrop import LayerDropPerCopy, drop_layers_per_copy
from intra_distill.core.replicate import Copies

K, T, B, D = 4, 3, 2, 5


class Encoder(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.layers = LayerDropModuleList(p, [Layer(), Layer(), Layer()])

    def forward(self, x, padding=None):
        for layer in self.layers:
            x = layer(x, encoder_padding_mask=padding)
        return x


class Layer(nn.Module):
    """Mixes the positions that are no padding, so that a wrong row of the mask shows."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(D, D)

    def forward(self, x, encoder_padding_mask=None):
        if encoder_padding_mask is not None:
            x = x.masked_fill(encoder_padding_mask.t().unsqueeze(-1), 0)
        return x + self.project(x.mean(dim=0, keepdim=True)).tanh()


class DecoderLayer(Layer):
    def forward(
        self, x, encoder_out, encoder_padding_mask=None, state=None, self_attn_mask=None
    ):  # as fairseq's: a tuple, some arguments by position
        assert state is None and self_attn_mask.shape == (T, T)
        x = super().forward(x) + encoder_out.mean(dim=0)
        return x, torch.zeros(len(x)), None


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(0.5).double()


def passes_one_by_one(encoder: Encoder, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
    """Each copy through fairseq's own list, whose draws are those of the K copies in order."""
    return torch.stack([encoder(x, padding) for _ in range(K)], dim=1).flatten(1, 2)


@pytest.mark.parametrize("padded", [True, False])
def test_copies_drop_what_passes_one_after_the_other_drop(encoder, padded):
    x = torch.randn(T, B, D, dtype=torch.float64, requires_grad=True)
    padding = torch.tensor([[False, False, True], [False] * 3]) if padded else None
    torch.manual_seed(3)
    expected = passes_one_by_one(encoder, x, padding)
    names = list(encoder.state_dict())
    expected_gradients = torch.autograd.grad(expected.square().sum(), [x, *encoder.parameters()])

    copies = Copies()
    drop_layers_per_copy(encoder, LayerDropModuleList, copies)
    assert isinstance(encoder.layers, LayerDropPerCopy) and list(encoder.state_dict()) == names
    torch.manual_seed(3)
    with copies.in_model(0, K):
        several = None if padding is None else torch.cat([padding] * K)
        outputs = encoder(torch.cat([x] * K, dim=1), several)
    assert len({each.sum().item() for each in outputs.chunk(K, dim=1)}) > 1
    torch.testing.assert_close(outputs, expected)
    gradients = torch.autograd.grad(outputs.square().sum(), [x, *encoder.parameters()])
    torch.testing.assert_close(gradients, expected_gradients)


def test_one_copy_and_inference_are_fairseqs(encoder):
    x = torch.randn(T, B, D, dtype=torch.float64)
    torch.manual_seed(5)
    trained, tested = encoder(x), encoder.eval()(x)
    state = torch.get_rng_state()
    drop_layers_per_copy(encoder.train(), LayerDropModuleList, Copies())
    torch.manual_seed(5)
    assert torch.equal(encoder(x), trained) and torch.equal(encoder.eval()(x), tested)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_layer_with_more_inputs_and_outputs():
    layers, copies = LayerDropPerCopy([DecoderLayer()], 0.5, Copies()).double(), Copies()
    layers.copies = copies
    x, encoder_out = (torch.randn(T, B * K, D, dtype=torch.float64) for _ in range(2))
    torch.manual_seed(1)
    with copies.in_model(0, K):
        (layer,) = layers
        outputs, *others = layer(x, encoder_out, None, None, self_attn_mask=torch.zeros(T, T))
    torch.manual_seed(1)
    kept = torch.empty(K, 1).uniform_().gt(0.5).flatten().tolist()
    assert others == [None, None] and 0 < sum(kept) < K
    whole = layers[0](x, encoder_out, None, None, self_attn_mask=torch.zeros(T, T))[0]
    for copy, runs in enumerate(kept):
        rows = slice(copy * B, (copy + 1) * B)
        torch.testing.assert_close(outputs[:, rows], (whole if runs else x)[:, rows])


def test_all_layers_may_be_dropped(encoder):
    encoder.layers.p = 1.0
    copies, x = Copies(), torch.randn(T, K * B, D, dtype=torch.float64)
    drop_layers_per_copy(encoder, LayerDropModuleList, copies)
    with copies.in_model(0, K):
        assert torch.equal(encoder(x), x)
