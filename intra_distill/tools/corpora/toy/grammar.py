"""The toy corpus: a grammar builds each sentence in German and in English at once."""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ....errors import UserError
from ....files import read_lines, write_lines
from . import lexicon
from .lexicon import ADJECTIVES, CONJUNCTIONS, MODIFIERS, PLACES, SURNAMES, TIMES, Pair, entries

MAX_PAIRS = 100_000  # of all splits together: up to here new sentences come quickly
WORDS = range(4, 26)  # of a sentence, in either language
NOTHING, COPULA = Pair("", ""), ("sein", "", "", "be", "")
NOUNS = {kind: entries(table) for kind, table in lexicon.NOUNS.items()}
FRAMES = [(key.replace(":", "").split(), entries(table)) for key, table in lexicon.VERBS.items()]
(_, *POSSESSIONS), DEALINGS = FRAMES[0]  # what one has, and what one does to it

# Endings by gender (p: plural) in the order of CASES; "-": none.
CASES = ("nom", "acc", "dat")
ARTICLE = {"m": "er en em", "f": "ie ie er", "n": "as as em", "p": "ie ie en"}
EIN = {"m": "- en em", "f": "e e er", "n": "- - em", "p": "e e en"}
STRONG = {"m": "er en em", "f": "e e er", "n": "es es em", "p": "e e en"}
MIXED = {"m": "er en en", "f": "e e en", "n": "es es en", "p": "en en en"}
WEAK = {"m": "e en en", "f": "e e en", "n": "e e en", "p": "en en en"}
# Determiners: German, its endings and those of the adjective; English before singular and plural.
THE, THIS = ("d", ARTICLE, WEAK, "the", "the"), ("dies", STRONG, WEAK, "this", "these")
A, BARE = ("ein", EIN, MIXED, "a", ""), ("", dict.fromkeys("mfnp", "- - -"), STRONG, "", "")
# By person, or gender of the third: German in the order of CASES and possessive; English subject,
# object and possessive; the present and past of sein and be; the present of haben.
PRONOUNS = {
    "m": "er ihn ihm sein he him his ist war is was hat".split(),
    "f": "sie sie ihr ihr she her her ist war is was hat".split(),
    "n": "es es ihm sein it it its ist war is was hat".split(),
    "p": "sie sie ihnen ihr they them their sind waren are were haben".split(),
    "ich": "ich mich mir mein I me my bin war am was habe".split(),
    "wir": "wir uns uns unser we us our sind waren are were haben".split(),
}


def words(*parts: str) -> str:
    return " ".join(filter(None, parts))


def add_s(word: str) -> str:
    """The regular plural of an English noun, or third person of a verb."""
    word = re.sub("(?<=[^aeiou])y$", "ie", word)
    return word + ("es" if re.search("(s|x|ch|sh|o)$", word) else "s")


class Phrase(NamedTuple):
    """A noun phrase or pronoun, in German by case, in English as subject and object."""

    person: str  # a key of PRONOUNS
    en_person: str  # another where genders differ: *der Löffel* is *er*, but *it*
    de: dict[str, str]
    en: Sequence[str]
    is_pronoun: bool = False

    def pronoun(self) -> "Phrase":
        de, en = dict(zip(CASES, PRONOUNS[self.person])), PRONOUNS[self.en_person][4:6]
        return self._replace(de=de, en=en, is_pronoun=True)

    def possessive(self) -> tuple:
        """The determiner of what it has."""
        return PRONOUNS[self.person][3], EIN, MIXED, *[PRONOUNS[self.en_person][6]] * 2


def noun_phrase(noun, determiner, plural=False, first=NOTHING, adjective=NOTHING) -> Phrase:
    """Inflect a noun, perhaps after the ``first`` part of a compound, and what stands before it."""
    singular, letter, plural_form, en, *irregular = noun
    plural_form = plural_form if plural_form[:1].isupper() else singular + plural_form
    gender = "p" if plural else letter.lower().replace("w", "m")
    opening, *tables, en_singular, en_plural = determiner
    de = {}
    for case, *ends in zip(CASES, *(table[gender].split() for table in tables)):
        end, adjective_end = (end.strip("-") for end in ends)
        form = plural_form if gender == "p" or (letter in "Ww" and case != "nom") else singular
        n = "n" if gender == "p" and case == "dat" and form[-1] not in "ns" else ""
        form = first.de + form.lower() + n if first.de else form + n
        de[case] = words(opening + end, adjective.de and adjective.de + adjective_end, form)
    is_plural = gender == "p" or irregular == ["-"]
    en = [*irregular, add_s(en)][0].replace("-", en) if is_plural else en
    opening, named = en_plural if is_plural else en_singular, words(adjective.en, first.en, en)
    en = words("an" if opening == "a" and named[0] in "aeiou" else opening, named)
    natural = gender.replace("n", "f") if letter.isupper() else "n"  # das Mädchen is she
    return Phrase(gender, "p" if is_plural else natural, de, [en, en])


def clause(order: str, subject: Phrase, verb: Sequence, when, objects, rest=NOTHING) -> Pair:
    """Say what a subject does ``when``: in which tense (past, present, future), and a time.

    The German ``order`` is main, subordinate, or inverted: after its time, verb first.
    """
    (infinitive, third, participle, en, en_past), (tense, *time) = verb, when
    sein, war, _, _, haben = PRONOUNS[subject.person][7:]
    be, was = PRONOUNS[subject.en_person][9:11]
    prefix, _, base = infinitive.rpartition("|")
    finite, closing = {"ich": base[:-1], "wir": base, "p": base}.get(subject.person, third), prefix
    if verb is COPULA:
        finite = war if tense == "past" else sein
    elif tense == "past":
        finite = sein if participle.startswith("ist ") else haben
        closing = participle.removeprefix("ist ") + " "
    pronouns = words(*(phrase.de[case] for case, phrase in objects.items() if phrase.is_pronoun))
    nouns = words(*(phrase.de[case] for case, phrase in objects.items() if not phrase.is_pronoun))
    german = {
        "main": (finite, pronouns, time[0], nouns, rest.de, closing.strip()),
        "inverted": (subject.de["nom"], pronouns, nouns, rest.de, closing.strip()),
        "subordinate": (pronouns, time[0], nouns, rest.de, closing + finite),
    }[order]
    first = words(time[0], finite) if order == "inverted" else subject.de["nom"]
    en, _, particle = en.partition("+")
    head, *tail = en.split()
    third = be if verb is COPULA else add_s(head) if subject.en_person in "mfn" else head
    head = {"past": en_past or was, "present": third, "future": f"will {head}"}[tense]
    end = words(*(phrase.en[1] for phrase in objects.values()), particle, rest.en, time[1])
    return Pair(words(first, *german), words(subject.en[0], head, *tail, end))


class Grammar:
    """Draws sentences, by ``random()`` alone: its numbers are the same in every Python."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def often(self, items: Sequence) -> Any:
        """One of the items, the first ones most often."""
        chance = self.random()
        return items[int(chance * chance * len(items))]

    def sentence(self) -> Pair:
        pair = self.often((self.two_clauses, self.simple))()
        ended = (re.sub(",+", ",", text).rstrip(",") + "." for text in pair)
        return Pair(*(text[0].upper() + text[1:] for text in ended))

    def simple(self) -> Pair:
        person = self.often(("ich", "wir", "m", "f", "p"))
        subject = self.often((self.phrase("person"), Phrase(person, person, {}, []).pronoun()))
        return self.action(self.often(("main", "inverted")), subject, self.often(TIMES))

    def two_clauses(self) -> Pair:
        """A pronoun in the second clause stands for somebody or something in the first."""
        when, subject = (self.often(("past", "present")), "", ""), self.phrase("person")
        thing, is_fronted = self.phrase(self.often(POSSESSIONS), subject), self.random() < 0.3
        first, second = ("subordinate", "inverted") if is_fronted else ("main", "subordinate")
        he, it, conjunction = subject.pronoun(), thing.pronoun(), self.often(CONJUNCTIONS)
        one = clause(first, subject, self.often(DEALINGS), when, {"acc": thing})
        of_it = clause(second, it, COPULA, when, {}, self.often(ADJECTIVES["quality"]))
        of_him = clause(second, he, COPULA, when, {}, self.often(ADJECTIVES["mood"]))
        with_it = clause(second, he, self.often(DEALINGS), when, {"acc": it})
        two = self.often((of_it, of_him, with_it, self.action(second, he, when)))
        if is_fronted:
            return Pair(*(f"{opening} {a}, {b}" for opening, a, b in zip(conjunction, one, two)))
        return Pair(f"{one.de}, {conjunction.de} {two.de}", f"{one.en} {conjunction.en} {two.en}")

    def action(self, order: str, subject: Phrase, when: Sequence[str]) -> Pair:
        """A clause about anything that the subject does."""
        (cases, *kinds), verbs = self.often(FRAMES)
        *preposition, case = cases.removeprefix("dat+").split("_")
        objects = {"dat": self.phrase("person", subject)} if "+" in cases else {}
        rest = self.often(PLACES) if not kinds or self.random() < 0.2 else NOTHING
        if preposition:
            phrase = self.phrase(kinds[0], subject)
            rest = Pair(words(*preposition, phrase.de[case]), phrase.en[1])
        elif kinds:
            objects[case] = self.phrase(self.often(kinds), subject)
        return clause(order, subject, self.often(verbs), when, objects, rest)

    def phrase(self, kind: str, owner: Phrase | None = None) -> Phrase:
        """Somebody or something of the kind, perhaps the owner's."""
        kind = self.often(("person", "name", "relative")) if kind == "person" else kind
        surname = self.often(MODIFIERS).de + self.often(SURNAMES)
        noun = [form.format(surname) for form in self.often(NOUNS[kind])]
        owner = owner or Phrase("ich", "ich", {}, [])  # meine Frau is my wife
        own = {"name": BARE, "person": THIS}.get(kind, owner.possessive())
        if kind in ("name", "relative"):
            return noun_phrase(noun, own)
        plural = noun[1] in "pP" or self.random() < 0.25
        determiner = self.often((THE, BARE, own) if plural else (THE, A, own, THIS))
        first = self.often(MODIFIERS) if kind in POSSESSIONS and self.random() < 0.6 else NOTHING
        adjectives = ADJECTIVES.get(kind, ADJECTIVES["thing"])
        adjective = self.often(adjectives) if self.random() < 0.5 else NOTHING
        phrase = noun_phrase(noun, determiner, plural, first, adjective)
        if kind in ("person", *POSSESSIONS) and self.random() < 0.2:
            return self.described(phrase, is_person=kind == "person")
        return phrase

    def described(self, phrase: Phrase, is_person: bool) -> Phrase:
        """With a relative clause: its subject is the person, its object the thing."""
        article, when = ARTICLE[phrase.person].split(), self.often(TIMES)
        if is_person:
            who = phrase._replace(de={"nom": f"d{article[0]}"}, en=["who"])
            de, en = self.action("subordinate", who, when)
        else:
            de, en = clause("subordinate", self.phrase("person"), self.often(DEALINGS), when, {})
            de, en = f"d{article[1]} {de}", f"that {en}"
        cases = {case: f"{text}, {de}," for case, text in phrase.de.items()}
        return phrase._replace(de=cases, en=[f"{phrase.en[0]} {en}"] * 2)


def toy_corpus(train: int, valid: int, test: int, seed: int) -> dict[str, list[Pair]]:
    """Draw the splits ``train``, ``valid`` and ``test``, of so many sentence pairs each.

    No sentence of either language occurs twice, within a split or between two. Training pairs are
    drawn last, so that with one seed training sets of any size have the same test set.

    Raises:
        UserError: a size is below 1, or all together are more than ``MAX_PAIRS``.
    """
    sizes = {"test": test, "valid": valid, "train": train}
    for split, size in sizes.items():
        if size < 1:
            raise UserError(f"--{split} {size}: ask for at least 1 sentence pair")
    total = sum(sizes.values())
    if total > MAX_PAIRS:
        raise UserError(
            f"--train, --valid and --test add up to {total} sentence pairs: "
            f"the grammar gives up to {MAX_PAIRS}, ask for fewer"
        )
    grammar, seen, corpus = Grammar(seed), set(), {split: [] for split in sizes}
    for split, size in sizes.items():
        while len(corpus[split]) < size:
            pair = grammar.sentence()
            if seen.isdisjoint(pair) and all(len(text.split()) in WORDS for text in pair):
                seen.update(pair)
                corpus[split].append(pair)
    return corpus


def write_corpus(corpus: dict[str, list[Pair]], destdir: Path) -> None:
    """Write the files ``SPLIT.de`` and ``SPLIT.en``, a sentence a line.

    Raises:
        UserError: a file exists with other content (no file is touched then) or is not writable.
    """
    files = {
        destdir / f"{split}.{language}": list(sentences)
        for split, drawn in corpus.items()
        for language, sentences in zip(Pair._fields, zip(*drawn))
    }
    for path, sentences in files.items():
        if path.exists() and list(read_lines(path)) != sentences:
            raise UserError(f"{path} has other content: remove it or choose another --destdir")
    try:
        destdir.mkdir(parents=True, exist_ok=True)
        for path, sentences in files.items():
            write_lines(path, sentences)
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror}") from error
