from collections import namedtuple

import torch

from intra_distill.core.replicate import replicate, split_passes, take_passes

Pair = namedtuple("Pair", "left right")


def batch() -> dict:
    return {
        "id": torch.tensor([3, 5]),
        "ntokens": 7,
        "net_input": {"src_tokens": torch.arange(8).view(2, 4), "names": ["a", "b"]},
        "pair": Pair(torch.tensor([[1.0], [2.0]]), None),
        "scalar": torch.tensor(4.0),
    }


def test_copies_stand_one_after_the_other():
    copies = replicate(batch(), 3)
    assert copies["id"].tolist() == [3, 5, 3, 5, 3, 5]
    tokens = batch()["net_input"]["src_tokens"]
    assert torch.equal(copies["net_input"]["src_tokens"], torch.cat([tokens] * 3))
    assert isinstance(copies["pair"], Pair) and copies["pair"].left.shape == (6, 1)


def test_counts_names_and_scalars_are_not_replicated():
    copies = replicate(batch(), 3)
    assert copies["ntokens"] == 7
    assert copies["net_input"]["names"] == ["a", "b"]
    assert copies["scalar"] == 4.0 and copies["pair"].right is None


def test_the_batch_given_is_untouched_and_shares_no_memory():
    original, untouched = batch(), batch()
    replicate(original, 2)["net_input"]["src_tokens"].zero_()
    assert torch.equal(original["net_input"]["src_tokens"], untouched["net_input"]["src_tokens"])
    assert original["id"].shape == (2,)


def test_split_passes_undoes_the_concatenation():
    tokens = torch.arange(12).view(4, 3)
    passes = split_passes(replicate(tokens, 3), 3)
    assert passes.shape == (3, 4, 3)
    assert all(torch.equal(one, tokens) for one in passes)


def test_an_empty_batch_stays_empty():
    assert replicate(torch.zeros(0, 5), 3).shape == (0, 5)


def test_take_passes_takes_copies_from_start_to_stop():
    tokens = torch.arange(12).view(4, 3)
    copies = {"tokens": torch.cat([tokens, tokens + 1, tokens + 2]), "names": ["a"]}
    taken = take_passes(copies, 3, 1, 3)
    assert torch.equal(taken["tokens"], torch.cat([tokens + 1, tokens + 2]))
    assert taken["names"] == ["a"]
