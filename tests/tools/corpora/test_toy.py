import hashlib

import pytest

from intra_distill.errors import UserError
from intra_distill.tools.corpora.toy.grammar import MAX_PAIRS, toy_corpus, write_corpus

CORPUS = toy_corpus(train=5000, valid=300, test=500, seed=1)
DIGEST = "fdd643009fa13cd22dd18f67111aac1913a11c5e642191b9fce3a3acb9ec642e"  # of its files by name
# Cases and persons, the places of verbs, words that are ambiguous alone.
HAND_CHECKED = """\
Sie dankt jeden Tag einem Jungen am Bahnhof. | She thanks a boy at the station every day.
Gestern hat Frau Kinderhofer den Jungen geholfen. | Mrs Kinderhofer helped the boys yesterday.
Er ruft nächste Woche die armen Kinder an. | He will call the poor children next week.
Er hat gestern eine Hose angezogen. | He put trousers on yesterday.
Sie ist heute Morgen dieser armen Lehrerin gefolgt. | She followed this poor teacher this morning.
Weil Peter das Kleid kauft, bringt er es mit. | Because Peter buys the dress, he brings it.
Weil Peter den Schrank gefunden hat, war er neu. | Because Peter found the cupboard, it was new.
Peter hat seinen Schlüssel verloren, weil er müde war. | Peter lost his key because he was tired.
Gestern haben sie den Schlüssel, den Männer jeden Tag wegwerfen, gekauft. | \
They bought the key that men throw away every day yesterday.
Der Bauer, der gestern den Apfel gegessen hat, hat am Montag die Mutter repariert. | \
The farmer who ate the apple yesterday repaired the nut on Monday.
Wir öffnen am Wochenende das neue Schloss. | We open the new lock at the weekend.
Sie haben am Montag ihr Schloss besichtigt. | They visited their castle on Monday.
Dieser Mann hat gestern die Leiter getragen. | This man carried the ladder yesterday.
Sie hat letzte Woche den Hut getragen. | She wore the hat last week.
Meine Mutter hat gestern auf einer Bank gesessen. | My mother sat on a bench yesterday."""


def test_default_files_are_bitwise_identical_everywhere(tmp_path):
    write_corpus(CORPUS, tmp_path)
    files = {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    assert list(files) == ["test.de", "test.en", "train.de", "train.en", "valid.de", "valid.en"]
    assert hashlib.sha256(b"".join(files.values())).hexdigest() == DIGEST
    with pytest.raises(UserError, match="test.de has other content"):
        write_corpus(toy_corpus(5, 5, 5, seed=2), tmp_path)


def test_no_sentence_occurs_twice_and_the_size_of_train_changes_no_test_set():
    pairs = [pair for drawn in CORPUS.values() for pair in drawn]
    for side in zip(*pairs):
        assert len(set(side)) == 5800 and all(4 <= len(text.split()) <= 25 for text in side)
    assert set(HAND_CHECKED.splitlines()) <= {" | ".join(pair) for pair in pairs}
    assert toy_corpus(9, 300, 500, seed=1) == CORPUS | {"train": CORPUS["train"][:9]}
    with pytest.raises(UserError, match=f"up to {MAX_PAIRS}, ask for fewer"):
        toy_corpus(1, 1, MAX_PAIRS, seed=1)
