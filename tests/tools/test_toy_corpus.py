import argparse
import hashlib
import re
from pathlib import Path

import pytest

from intra_distill.cli import toy_corpus
from intra_distill.errors import UserError
from intra_distill.tools.corpora.toy import corpus, grammar
from intra_distill.tools.corpora.toy.corpus import MAX_PAIRS
from intra_distill.tools.corpora.toy.grammar import (
    ACCUSATIVE,
    BARE,
    COPULA,
    DATIVE,
    GENITIVE,
    NO,
    NOUNS,
    THE,
    THIS,
    VERBS,
    A,
    Clause,
    Determiner,
    Grammar,
    Noun,
    NounPhrase,
    Verb,
    both,
    clock_time,
    noun_phrase,
    number,
    owned,
    possessive,
    pronoun,
)
from intra_distill.tools.corpora.toy.lexicon import ADJECTIVES, MODIFIERS, Pair

# Of the default files in the order of their names. Another grammar has another: set it anew.
DIGEST = "f0d643afe055c1869c54e746ae81a12b1c8bec947b5e8e2a6c3cb44849ea91dd"


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    toy_corpus.add_arguments(parser)
    return parser.parse_args(options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Pair]]:
    return corpus.toy_corpus(train=5000, valid=300, test=500, seed=1)


def noun(kind: str, singular: str) -> Noun:
    return next(noun for noun in NOUNS[kind] if noun.singular == singular)


def verb(frame: str, infinitive: str) -> Verb:
    return next(verb for verb in VERBS[frame] if verb.prefix + verb.base == infinitive)


def adjective(kind: str, german: str) -> Pair:
    return next(adjective for adjective in ADJECTIVES[kind] if adjective.de == german)


MAN = noun_phrase(noun("person", "Mann"), THE)
WOMAN = noun_phrase(noun("person", "Frau"), THE)
CHILDREN = noun_phrase(noun("person", "Kinder"), THE)
GIRL = noun_phrase(noun("person", "Mädchen"), THE)
SPOON = noun_phrase(noun("thing", "Löffel"), THE)
ME, YOU = pronoun("ich", "ich"), pronoun("du", "du")


# The corpus


def test_default_files_are_the_same_on_every_machine(tmp_path, capsys):
    toy_corpus.main(arguments("--destdir", str(tmp_path / "new" / "corpus")))
    files = contents(tmp_path / "new" / "corpus")
    assert list(files) == ["test.de", "test.en", "train.de", "train.en", "valid.de", "valid.en"]
    assert hashlib.sha256(b"".join(files.values())).hexdigest() == DIGEST
    assert "train.de and .en: 5000 sentence pairs" in capsys.readouterr().out


def test_seed_and_nothing_else_makes_the_difference(corpus):
    assert corpus.toy_corpus(5000, 300, 500, seed=1) == corpus
    other = corpus.toy_corpus(train=300, valid=300, test=500, seed=2)
    assert not set(other["test"]) & set(corpus["test"])


def test_held_out_sets_do_not_depend_on_the_training_size(corpus):
    smaller = corpus.toy_corpus(train=100, valid=300, test=500, seed=1)
    assert smaller["test"] == corpus["test"] and smaller["valid"] == corpus["valid"]
    assert smaller["train"] == corpus["train"][:100]


def test_no_sentence_occurs_twice(corpus):
    assert {split: len(drawn) for split, drawn in corpus.items()} == {
        "test": 500,
        "valid": 300,
        "train": 5000,
    }
    for side in zip(*(pair for drawn in corpus.values() for pair in drawn)):
        assert len(set(side)) == 5800


def test_sentences_are_well_formed(corpus):
    for text in (text for drawn in corpus.values() for pair in drawn for text in pair):
        assert 4 <= len(text.split()) <= 25
        assert re.fullmatch(r"[0-9A-ZÄÖÜ]([^ .]|(?<! ) |(?<=\d)\.(?= ))*[^,. ]\.", text), text
        assert not re.search(r",[^ ]| ,|,,", text), text


def test_german_has_one_english():
    class FewWords(Grammar):
        """Says the same things again and again."""

        def frequent(self, items):
            return super().frequent(items[:2])

        def between(self, low, high):
            return super().between(low, min(high, low + 1))

    grammar = FewWords(1)
    english: dict[str, str] = {}
    repeated = 0
    for _ in range(10_000):
        pair = grammar.pair()
        repeated += pair.de in english
        assert english.setdefault(pair.de, pair.en) == pair.en, pair.de
    assert repeated >= 100


@pytest.mark.parametrize(
    ("german", "english"),
    [
        # word order
        (r", (weil|obwohl|wenn|als|bevor|während) .* (ist|hat|haben|kauft|sieht)\.$", ""),
        (
            r"^(Weil|Obwohl|Wenn|Als|Bevor|Während) .*, ",
            "^(Because|Although|If|When|Before|While) ",
        ),
        (", dass ", " that "),
        (", denn ", " because "),
        (r"^(Gestern|Letzte Woche|Heute Morgen|Am \S+) (hat|haben|ist|sind) ", ""),
        (r"^(Den|Dem|Einen|Keinen|Diesen) \w+ ", "^(?!The)"),
        (", (der|die|das) .*,", " who "),
        (", (dem|der|denen) .*,", " whom "),
        (r", (den|die|das) [^,]*\.$", " that "),
        # verbs
        (r" hat .*(ge|be|ver)\w+(t|en)\b", ""),
        (r" (ist|sind) .*(gegangen|gefahren|gelaufen|gefolgt|begegnet|\wgekehrt|\wgekommen)\b", ""),
        (r" (kann|können|muss|müssen|will|wollen) .*en\b", " (can|has to|have to|wants? to) "),
        (r" (konnte|musste|wollte)n? .*en\b", " (could|had to|wanted to) "),
        (r" (ruft|holt|macht|gibt|liest|bringt) .* (an|ab|auf|zu|zurück|vor|mit)\b", ""),
        (r"\b([Mm]orgen|[Üü]bermorgen|[Nn]ächste\w*) ", r"\bwill "),
        # noun phrases
        (r"\b[Kk]eine?[nm]? ", r"\bno "),
        (r"\bnicht ", r"\b(not|cannot) "),
        (r" (des|dieses) \w+s\b", "'s? "),
        (r"\bHerrn ", r"\bMr "),
        (r"\b[Mm]ein(en|em)? Mann\b", r"\b[Mm]y husband\b"),
        (r", (aber|und dann) .*\b(ihn|sie)\b", r"\bit\b"),
        # numbers
        (r"\w(und)(zwan|drei|vier|fünf|sech|sieb|acht|neun)\w*(zig|ßig)\b", "ty-"),
        (r"\w+hundert", " hundred and "),
        (r" (19|20)\d\d\b", r" (19|20)\d\d\b"),
        ("[Uu]m halb ", "[Aa]t half past "),
        ("[Uu]m Viertel vor ", "[Aa]t a quarter to "),
    ],
)
def test_training_set_has_every_construction(corpus, german, english):
    found = [p for p in corpus["train"] if re.search(german, p.de) and re.search(english, p.en)]
    assert len(found) >= 40


@pytest.mark.parametrize(
    ("german", "readings"),
    [
        ("[Ss]chl(oss|össer)", ("castle", "lock")),
        (r"Bank\b|Bänke", (r"bank\b", "bench")),
        ("[Dd]ecke", ("blanket", "ceiling")),
        ("Birne", ("pear", "light bulb")),
        ("Gericht", ("dish", "court")),
        ("Leiter", ("manager", "ladder")),
        (r"See\b", ("lake", "sea")),
        ("[Hh]ahn|[Hh]ähne", ("rooster", "tap")),
        ("Str[aä]uß", ("bouquet", "ostrich")),
        (r"getragen|tr[aä]g", ("w[eo]re?", "carr[iy]")),
        (r"koste|gekostet", ("taste", "cost")),
        (r"\b[Ss]ie\b", ("she", "they", "it", "them")),
    ],
)
def test_training_set_has_all_readings_of_ambiguous_words(corpus, german, readings):
    english = [pair.en for pair in corpus["train"] if re.search(german, pair.de)]
    for reading in readings:
        assert sum(bool(re.search(rf"\b{reading}", text)) for text in english) >= 5, reading


def test_rare_words_are_seen_a_few_times(corpus):
    text = " ".join(pair.de for pair in corpus["train"])
    counts = [len(re.findall(rf"\b{noun.singular}\b", text)) for noun in NOUNS["thing"]]
    assert counts[0] >= 40
    assert sum(1 <= count <= 10 for count in counts) >= 10


# Noun phrases


@pytest.mark.parametrize(
    ("phrase", "cases", "english"),
    [
        (
            noun_phrase(noun("person", "Mann"), THE, adjective("person", "alt")),
            ("der alte Mann", "den alten Mann", "dem alten Mann", "des alten Mannes"),
            "the old man",
        ),
        (
            noun_phrase(noun("person", "Junge"), A, adjective("person", "ehrgeizig")),
            (
                "ein ehrgeiziger Junge",
                "einen ehrgeizigen Jungen",
                "einem ehrgeizigen Jungen",
                "eines ehrgeizigen Jungen",
            ),
            "an ambitious boy",
        ),
        (
            noun_phrase(noun("person", "Frau"), THIS, adjective("person", "nett"), plural=True),
            ("diese netten Frauen", "diese netten Frauen", "diesen netten Frauen")
            + ("dieser netten Frauen",),
            "these nice women",
        ),
        (
            noun_phrase(noun("person", "Kinder"), BARE, adjective("person", "klein")),
            ("kleine Kinder", "kleine Kinder", "kleinen Kindern", "kleiner Kinder"),
            "short children",
        ),
        (
            noun_phrase(noun("thing", "Messer"), NO, adjective("thing", "neu")),
            ("kein neues Messer", "kein neues Messer", "keinem neuen Messer")
            + ("keines neuen Messers",),
            "no new knife",
        ),
        (
            noun_phrase(noun("drink", "Milch"), BARE, adjective("drink", "warm")),
            ("warme Milch", "warme Milch", "warmer Milch", "warmer Milch"),
            "warm milk",
        ),
        (
            noun_phrase(noun("thing", "Brille"), A),
            ("eine Brille", "eine Brille", "einer Brille", "einer Brille"),
            "glasses",
        ),
        (
            noun_phrase(noun("thing", "Tasse").compound(MODIFIERS[0]), possessive(WOMAN)),
            ("ihre Kindertasse", "ihre Kindertasse", "ihrer Kindertasse", "ihrer Kindertasse"),
            "her children's cup",
        ),
        (
            noun_phrase(grammar.titled("Neumann", woman=False), BARE),
            ("Herr Neumann", "Herrn Neumann", "Herrn Neumann", "Herrn Neumann"),
            "Mr Neumann",
        ),
        (
            owned(noun("thing", "Topf"), CHILDREN, None, plural=True),
            ("die Töpfe der Kinder", "die Töpfe der Kinder", "den Töpfen der Kinder")
            + ("der Töpfe der Kinder",),
            "the children's pots",
        ),
    ],
)
def test_noun_phrase_agrees_in_gender_case_and_number(
    phrase: NounPhrase, cases: tuple[str, ...], english: str
):
    assert phrase.cases == cases
    assert phrase.en_subject == phrase.en_object == english


def test_numbers_inflect_what_follows_and_not_themselves():
    three = Determiner("drei", grammar.NONE, grammar.STRONG, "three", "three")
    phrase = noun_phrase(noun("thing", "Löffel"), three, adjective("thing", "alt"), plural=True)
    assert phrase.cases[DATIVE] == "drei alten Löffeln"
    assert phrase.cases[GENITIVE] == "drei alter Löffel"


@pytest.mark.parametrize(
    ("phrase", "german", "english"),
    [
        (SPOON, "ihn", "it"),
        (MAN, "ihn", "him"),
        (WOMAN, "sie", "her"),
        (GIRL, "es", "her"),
        (noun_phrase(noun("thing", "Brille"), THE), "sie", "them"),
        (noun_phrase(noun("thing", "Glas"), THE), "es", "it"),
        (both(MAN, GIRL), "sie", "them"),
    ],
)
def test_pronoun_has_the_gender_of_each_language(phrase: NounPhrase, german: str, english: str):
    again = phrase.pronoun()
    assert (again.cases[ACCUSATIVE], again.en_object) == (german, english)


# Clauses

CALL = verb("transitive", "anrufen")
GIVE = verb("ditransitive", "geben")
GO = verb("moving", "gehen")
HOME = Pair("in den Garten", "into the garden")
MUST = verb("modal", "müssen")
YESTERDAY = Pair("gestern", "yesterday")


@pytest.mark.parametrize(
    ("clause", "order", "german", "english"),
    [
        (
            Clause(MAN, CALL, ((ACCUSATIVE, WOMAN),)),
            "main",
            "der Mann ruft die Frau an",
            "the man calls the woman",
        ),
        (
            Clause(MAN, CALL, ((ACCUSATIVE, WOMAN),), negated=True),
            "subordinate",
            "der Mann die Frau nicht anruft",
            "the man does not call the woman",
        ),
        (
            Clause(CHILDREN, CALL, ((ACCUSATIVE, YOU),), time=YESTERDAY, tense="past"),
            "inverted",
            "haben die Kinder dich gestern angerufen",
            "the children called you yesterday",
        ),
        (
            Clause(CHILDREN, CALL, ((ACCUSATIVE, YOU),), modal=MUST, negated=True),
            "subordinate",
            "die Kinder dich nicht anrufen müssen",
            "the children do not have to call you",
        ),
        (
            Clause(ME, GIVE, ((DATIVE, MAN), (ACCUSATIVE, SPOON)), tense="past"),
            "main",
            "ich habe dem Mann den Löffel gegeben",
            "I gave the man the spoon",
        ),
        (
            Clause(GIRL, GO, rest=HOME, tense="past"),
            "subordinate",
            "das Mädchen in den Garten gegangen ist",
            "the girl went into the garden",
        ),
        (
            Clause(GIRL, GO, rest=HOME, modal=MUST, tense="past"),
            "main",
            "das Mädchen musste in den Garten gehen",
            "the girl had to go into the garden",
        ),
        (
            Clause(WOMAN, GO, rest=HOME, time=Pair("morgen", "tomorrow"), tense="future"),
            "main",
            "die Frau geht morgen in den Garten",
            "the woman will go into the garden tomorrow",
        ),
        (
            Clause(YOU, COPULA, rest=Pair("müde", "tired"), tense="past"),
            "subordinate",
            "du müde warst",
            "you were tired",
        ),
        (
            Clause(MAN, verb("transitive", "wegwerfen"), ((ACCUSATIVE, SPOON.pronoun()),)),
            "main",
            "der Mann wirft ihn weg",
            "the man throws it away",
        ),
        (
            Clause(WOMAN, CALL, ((ACCUSATIVE, ME),), modal=verb("modal", "können"), negated=True),
            "main",
            "die Frau kann mich nicht anrufen",
            "the woman cannot call me",
        ),
    ],
)
def test_verbs_stand_where_each_language_has_them(
    clause: Clause, order: str, german: str, english: str
):
    assert clause.pair(order) == Pair(german, english)


@pytest.mark.parametrize(
    ("frame", "infinitive", "forms"),
    [
        ("transitive", "lesen", "lese liest liest lesen"),
        ("transitive", "öffnen", "öffne öffnest öffnet öffnen"),
        ("transitive", "einladen", "lade lädst lädt laden"),
        ("transitive", "schließen", "schließe schließt schließt schließen"),
        ("transitive", "füttern", "füttere fütterst füttert füttern"),
        ("transitive", "vergessen", "vergesse vergisst vergisst vergessen"),
        ("placed", "tanzen", "tanze tanzt tanzt tanzen"),
        ("placed", "ankommen", "komme kommst kommt kommen"),
        ("modal", "können", "kann kannst kann können"),
    ],
)
def test_present_tense(frame: str, infinitive: str, forms: str):
    assert [verb(frame, infinitive).present(index) for index in range(4)] == forms.split()


@pytest.mark.parametrize(
    ("n", "german", "english"),
    [
        (2, "zwei", "two"),
        (16, "sechzehn", "sixteen"),
        (21, "einundzwanzig", "twenty-one"),
        (30, "dreißig", "thirty"),
        (100, "einhundert", "one hundred"),
        (312, "dreihundertzwölf", "three hundred and twelve"),
        (777, "siebenhundertsiebenundsiebzig", "seven hundred and seventy-seven"),
    ],
)
def test_numbers(n: int, german: str, english: str):
    assert number(n) == Pair(german, english)


@pytest.mark.parametrize(
    ("hour", "minute", "german", "english"),
    [
        (1, 0, "um ein Uhr", "at one o'clock"),
        (2, 30, "um halb drei", "at half past two"),
        (12, 30, "um halb eins", "at half past twelve"),
        (1, 15, "um Viertel nach eins", "at a quarter past one"),
        (12, 45, "um Viertel vor eins", "at a quarter to one"),
    ],
)
def test_times_of_day(hour: int, minute: int, german: str, english: str):
    assert clock_time(hour, minute) == Pair(german, english)


# What the user may get wrong


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--train=0", "--train 0: ask for at least 1"),
        ("--valid=-3", "--valid -3: ask for at least 1"),
        (f"--test={MAX_PAIRS}", f"add up to {MAX_PAIRS + 5300}.* up to {MAX_PAIRS}"),
    ],
)
def test_sizes_that_cannot_be_are_refused(tmp_path, option, message):
    folder = tmp_path / "corpus"
    with pytest.raises(UserError, match=message):
        toy_corpus.main(arguments("--destdir", str(folder), option))
    assert not folder.exists()


def test_files_with_other_content_are_left_alone(tmp_path):
    small = ("--destdir", str(tmp_path), "--train=20", "--valid=5", "--test=5")
    toy_corpus.main(arguments(*small))
    before = contents(tmp_path)
    toy_corpus.main(arguments(*small))
    assert contents(tmp_path) == before
    with pytest.raises(UserError, match="test.de has other content"):
        toy_corpus.main(arguments(*small, "--seed=2"))
    assert contents(tmp_path) == before


def test_destdir_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot write .*file"):
        toy_corpus.main(arguments("--destdir", str(tmp_path / "file")))
    assert (tmp_path / "file").read_text() == "mine"
