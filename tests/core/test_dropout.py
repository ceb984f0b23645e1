import pytest
from fairseq.modules import FairseqDropout, LayerDropModuleList
from torch import nn

from intra_distill.core.dropout import dropout_sites
from intra_distill.core.layerdrop import LayerDropPerCopy
from intra_distill.core.replicate import Copies


@pytest.mark.parametrize(
    "module, counts",
    [
        (nn.Dropout(0.1), True),
        (nn.Dropout(0.0), False),
        (nn.AlphaDropout(0.1), True),
        (FairseqDropout(0.3), True),
        (FairseqDropout(0.0), False),
        (nn.LSTM(4, 4, num_layers=2, dropout=0.2), True),
        (nn.LSTM(4, 4, num_layers=2), False),
        (LayerDropModuleList(0.5, [nn.Linear(2, 2)]), False),  # falls on all copies alike
        (LayerDropPerCopy([nn.Linear(2, 2)], 0.5, Copies()), True),
        (LayerDropPerCopy([nn.Linear(2, 2)], 0.0, Copies()), False),
    ],
)
def test_what_makes_copies_differ(module, counts):
    assert any(dropout_sites(nn.Sequential(nn.Linear(4, 4), module))) is counts
