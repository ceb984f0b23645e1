"""The grammar of the toy corpus: words inflected, phrases built and sentences drawn.

What is said is built in both languages at once, each by its own rules of agreement and order.
"""

import random
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import NamedTuple, TypeVar

from .lexicon import (
    ADJECTIVES,
    COMPOUND_KINDS,
    CONJUNCTIONS,
    CONTRACTIONS,
    MODIFIERS,
    MONTHS,
    NAME_BEGINNINGS,
    NOTHING,
    NOUN_TABLES,
    PLACE_TABLE,
    PRESENT,
    PRETERITE,
    SURNAME_ENDINGS,
    TIMES,
    TOWN_ENDINGS,
    VERB_TABLES,
    Pair,
    entries,
)

T = TypeVar("T")


# ---- Noun phrases -------------------------------------------------------------------------------

CASES = NOMINATIVE, ACCUSATIVE, DATIVE, GENITIVE = range(4)
# Endings by gender (p: plural) in the order of CASES; "-": none.
ARTICLE = {"m": "er en em es", "f": "ie ie er er", "n": "as as em es", "p": "ie ie en er"}
EIN = {"m": "- en em es", "f": "e e er er", "n": "- - em es", "p": "e e en er"}
STRONG = {"m": "er en em en", "f": "e e er er", "n": "es es em en", "p": "e e en er"}
MIXED = {"m": "er en en en", "f": "e e en en", "n": "es es en en", "p": "en en en en"}
WEAK = {"m": "e en en en", "f": "e e en en", "n": "e e en en", "p": "en en en en"}
NONE = dict.fromkeys("mfnp", "- - - -")
DIES = STRONG | {"m": "er en em es", "n": "es es em es"}
# By person, or gender in the third: nominative, accusative, dative, possessive.
GERMAN_PRONOUNS = {
    "ich": "ich mich mir mein",
    "du": "du dich dir dein",
    "m": "er ihn ihm sein",
    "f": "sie sie ihr ihr",
    "n": "es es ihm sein",
    "wir": "wir uns uns unser",
    "p": "sie sie ihnen ihr",
}


# Subject, object, possessive.
ENGLISH_PRONOUNS = {
    "ich": "I me my",
    "du": "you you your",
    "m": "he him his",
    "f": "she her her",
    "n": "it it its",
    "wir": "we us our",
    "p": "they them their",
}


def words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def ending(table: dict[str, str], gender: str, case: int) -> str:
    return table[gender].split()[case].strip("-")


def add_s(word: str) -> str:
    """The regular plural of an English noun, or third person singular of a verb."""
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search("(s|x|ch|sh)$", word) else "s")


def add_ed(verb: str) -> str:
    """The regular past of an English verb; a consonant to double is not seen."""
    return re.sub("(?<=[^aeiou])y$", "i", verb.removesuffix("e")) + "ed"


class Noun(NamedTuple):
    singular: str
    gender: str
    plural: str  # empty if there is none, or none is wanted
    en: str
    en_plural: str  # the same as ``en`` if English has the plural alone
    weak: bool
    human: bool

    def german(self, case: int, plural: bool) -> str:
        if plural:
            return self.plural + ("n" if case == DATIVE and self.plural[-1] not in "ns" else "")
        if self.weak and case != NOMINATIVE:
            return self.plural
        if case == GENITIVE and self.gender in "mn":
            one_syllable = len(re.findall("[aeiouäöü]+", self.singular.lower())) == 1
            return self.singular + ("es" if one_syllable else "s")
        return self.singular

    def compound(self, modifier: Pair) -> "Noun":
        return self._replace(
            singular=modifier.de + self.singular.lower(),
            plural=modifier.de + self.plural.lower(),
            en=f"{modifier.en} {self.en}",
            en_plural=f"{modifier.en} {self.en_plural}",
        )


def titled(surname: str, woman: bool) -> Noun:
    """Frau or Herr, whose declined form is where other weak nouns have their plural."""
    if woman:
        return Noun(f"Frau {surname}", "f", "", f"Mrs {surname}", "", weak=False, human=True)
    return Noun(
        f"Herr {surname}", "m", f"Herrn {surname}", f"Mr {surname}", "", weak=True, human=True
    )


class Determiner(NamedTuple):
    """What opens a noun phrase; adjectives after it take ``adjective_endings``."""

    stem: str
    endings: dict[str, str]
    adjective_endings: dict[str, str]
    en: str
    en_plural: str


THE = Determiner("d", ARTICLE, WEAK, "the", "the")
THIS = Determiner("dies", DIES, WEAK, "this", "these")
A = Determiner("ein", EIN, MIXED, "a", "")
NO = Determiner("kein", EIN, MIXED, "no", "no")
BARE = Determiner("", NONE, STRONG, "", "")
MANY = Determiner("viel", STRONG, STRONG, "much", "many")


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase or pronoun, ready for any place in a clause.

    ``person`` and ``en_person`` are keys of the tables of pronouns. They differ where genders do:
    ``der Löffel`` is taken up by *er* in German, by *it* in English.
    """

    cases: tuple[str, ...]
    en_subject: str
    en_object: str
    person: str
    en_person: str
    is_pronoun: bool = False
    is_negative: bool = False

    def pronoun(self) -> "NounPhrase":
        """The personal pronoun that takes it up."""
        return pronoun(self.person, self.en_person)


def noun_phrase(
    noun: Noun, determiner: Determiner, adjective: Pair | None = None, plural: bool = False
) -> NounPhrase:
    """Inflect a noun and what stands before it for each other, in all cases.

    Nothing in the lexicon begins like ``hour`` or ``unit``: a vowel letter makes the English
    article *an*.
    """
    plural = plural or noun.gender == "p"
    gender = "p" if plural else noun.gender
    cases = []
    for case in CASES:
        parts = [determiner.stem + ending(determiner.endings, gender, case)]
        if adjective:
            parts.append(adjective.de + ending(determiner.adjective_endings, gender, case))
        cases.append(words(*parts, noun.german(case, plural)))
    en_is_plural = plural or noun.en == noun.en_plural
    named = words(adjective.en if adjective else "", noun.en_plural if plural else noun.en)
    article = determiner.en_plural if en_is_plural else determiner.en
    if article == "a" and named[0] in "aeiou":
        article = "an"
    english = words(article, named)
    # The one neuter person of the lexicon is das Mädchen.
    natural = noun.gender.replace("n", "f") if noun.human else "n"
    en_person = "p" if en_is_plural else natural
    negative = determiner is NO
    return NounPhrase(tuple(cases), english, english, gender, en_person, is_negative=negative)


def owned(noun: Noun, owner: NounPhrase, adjective: Pair | None, plural: bool) -> NounPhrase:
    """The noun with its owner in the genitive: *der Hut des Mannes*, *the man's hat*."""
    en = owner.en_object + ("'" if owner.en_object.endswith("s") else "'s")
    phrase = noun_phrase(noun, THE._replace(en=en, en_plural=en), adjective, plural)
    genitive = owner.cases[GENITIVE]
    return replace(phrase, cases=tuple(f"{text} {genitive}" for text in phrase.cases))


def both(one: NounPhrase, other: NounPhrase) -> NounPhrase:
    cases = tuple(f"{text} und {more}" for text, more in zip(one.cases, other.cases))
    english = f"{one.en_object} and {other.en_object}"
    return NounPhrase(cases, english, english, "p", "p")


def pronoun(person: str, en_person: str) -> NounPhrase:
    cases = tuple(GERMAN_PRONOUNS[person].split())
    subject, object_, _ = ENGLISH_PRONOUNS[en_person].split()
    return NounPhrase(cases, subject, object_, person, en_person, is_pronoun=True)


def possessive(owner: NounPhrase) -> Determiner:
    german = GERMAN_PRONOUNS[owner.person].split()[-1]
    english = ENGLISH_PRONOUNS[owner.en_person].split()[-1]
    return Determiner(german, EIN, MIXED, english, english)


def relative_pronoun(head: NounPhrase, english: str) -> NounPhrase:
    cases = ["d" + ending(ARTICLE, head.person, case) for case in CASES]
    if head.person == "p":
        cases[DATIVE] = "denen"
    return NounPhrase(tuple(cases), english, english, head.person, head.en_person)


def after_preposition(preposition: str, phrase: NounPhrase, case: int) -> str:
    text = f"{preposition} {phrase.cases[case]}"
    for apart, contracted in CONTRACTIONS.items():
        text = re.sub(f"^{apart}", contracted, text)
    return text


# ---- Verbs and clauses --------------------------------------------------------------------------

# Where the persons stand in PRESENT and PRETERITE.
PARADIGM = {"ich": 0, "du": 1, "m": 2, "f": 2, "n": 2, "wir": 3, "p": 3}


class Verb(NamedTuple):
    prefix: str
    base: str  # the infinitive without the prefix
    third: str  # third person singular, if its vowel changes
    participle: str
    auxiliary: str
    en: str
    en_past: str  # of its first word
    en_particle: str  # after the object: throw the key away
    complements: list[str]

    def present(self, index: int) -> str:
        """The finite form, without the prefix."""
        if self.base in PRESENT:
            return PRESENT[self.base].split()[index]
        stem = self.base.removesuffix("n").removesuffix("e")
        if self.third:
            changed = self.third.removesuffix("t")
        else:
            changed = stem + ("e" if re.search("([dt]|chn|[fg]n)$", stem) else "")
        second = changed + ("t" if changed[-1] in "sßz" else "st")
        return (stem + "e", second, self.third or changed + "t", self.base)[index]


Objects = tuple[tuple[int, NounPhrase], ...]  # each after its German case


@dataclass(frozen=True)
class Clause:
    """What is said, before it is put into words; ``tense`` is past, present or future."""

    subject: NounPhrase
    verb: Verb
    objects: Objects = ()
    rest: Pair = NOTHING  # a prepositional phrase, or what the copula says of the subject
    time: Pair = NOTHING
    tense: str = "present"
    modal: Verb | None = None
    negated: bool = False  # by nicht

    def pair(self, order: str = "main") -> Pair:
        return Pair(self.german(order), self.english())

    def german(self, order: str) -> str:
        """As a "main" clause, a "subordinate" one, or "inverted": a main clause less what takes
        the place before its verb."""
        subject = self.subject.cases[NOMINATIVE]
        pronouns = [phrase.cases[case] for case, phrase in self.objects if phrase.is_pronoun]
        nouns = [phrase.cases[case] for case, phrase in self.objects if not phrase.is_pronoun]
        negation = "nicht" if self.negated else ""
        middle = words(*pronouns, self.time.de, *nouns, negation, self.rest.de)
        finite, closing, final = self._german_verb()
        if order == "subordinate":
            return words(subject, middle, final)
        opening = (subject, finite) if order == "main" else (finite, subject)
        return words(*opening, middle, closing)

    def _german_verb(self) -> tuple[str, str, str]:
        """The finite verb, what closes a main clause, and what closes a subordinate clause."""
        verb, finite_verb = self.verb, self.modal or self.verb
        index, past = PARADIGM[self.subject.person], self.tense == "past"
        if not past:
            finite = finite_verb.present(index)
        elif finite_verb.base in PRETERITE:
            finite = PRETERITE[finite_verb.base].split()[index]
        else:
            finite = PRESENT[verb.auxiliary].split()[index]
        if self.modal:
            closing = verb.prefix + verb.base
        elif past and verb.base not in PRETERITE:
            closing = verb.participle
        else:
            return finite, verb.prefix, verb.prefix + finite
        return finite, closing, f"{closing} {finite}"

    def english(self) -> str:
        objects = [phrase.en_object for _, phrase in self.objects]
        end = words(*objects, self.verb.en_particle, self.rest.en, self.time.en)
        return words(self.subject.en_subject, self._english_verb(), end)

    def _english_verb(self) -> str:
        index, past = PARADIGM[self.subject.en_person], self.tense == "past"
        verb = self.modal or self.verb
        head, _, tail = verb.en.partition(" ")
        tail = words(tail, self.verb.en if self.modal else "")
        negation = "not" if self.negated else ""
        if self.tense == "future" and not self.modal:
            return words("will", negation, verb.en)
        if head == "be":
            be = "was were was were" if past else "am are is are"
            return words(be.split()[index], negation)
        if head == "can":
            auxiliary = verb.en_past if past else head
            return words(auxiliary, negation, tail).replace("can not", "cannot")
        if negation:
            return words("did" if past else "does" if index == 2 else "do", negation, head, tail)
        third = {"have": "has", "go": "goes"}.get(head) or add_s(head)
        return words(verb.en_past if past else third if index == 2 else head, tail)


# ---- Numbers and times of day -------------------------------------------------------------------

GERMAN_UNITS = (
    "/ein/zwei/drei/vier/fünf/sechs/sieben/acht/neun/zehn/elf/zwölf/dreizehn/vierzehn/fünfzehn/"
    "sechzehn/siebzehn/achtzehn/neunzehn"
).split("/")


ENGLISH_UNITS = (
    "/one/two/three/four/five/six/seven/eight/nine/ten/eleven/twelve/thirteen/fourteen/fifteen/"
    "sixteen/seventeen/eighteen/nineteen"
).split("/")


GERMAN_TENS = "//zwanzig/dreißig/vierzig/fünfzig/sechzig/siebzig/achtzig/neunzig".split("/")
ENGLISH_TENS = "//twenty/thirty/forty/fifty/sixty/seventy/eighty/ninety".split("/")


def number(n: int) -> Pair:
    """``n`` from 1 to 999 in words, as before a noun."""
    hundreds, below = divmod(n, 100)
    tens, unit = divmod(below, 10) if below >= 20 else (0, below)
    german = "und".join(filter(None, (GERMAN_UNITS[unit], GERMAN_TENS[tens])))
    english = "-".join(filter(None, (ENGLISH_TENS[tens], ENGLISH_UNITS[unit])))
    if hundreds:
        german = f"{GERMAN_UNITS[hundreds]}hundert{german}"
        english = " and ".join(filter(None, (f"{ENGLISH_UNITS[hundreds]} hundred", english)))
    return Pair(german, english)


def clock_time(hour: int, minute: int) -> Pair:
    """``hour`` from 1 to 12 at ``minute`` 0, 15, 30 or 45."""
    following = hour % 12 + 1
    if minute == 0:
        return Pair(f"um {GERMAN_UNITS[hour]} Uhr", f"at {ENGLISH_UNITS[hour]} o'clock")
    de, en, de_hour, en_hour = {
        15: ("Viertel nach", "a quarter past", hour, hour),
        30: ("halb", "half past", following, hour),
        45: ("Viertel vor", "a quarter to", following, following),
    }[minute]
    german = "eins" if de_hour == 1 else GERMAN_UNITS[de_hour]
    return Pair(f"um {de} {german}", f"at {en} {ENGLISH_UNITS[en_hour]}")


# ---- The lexicon parsed -------------------------------------------------------------------------


def parse_noun(entry: str, human: bool = False) -> Noun:
    singular, gender, plural, en, *irregular = entry.split("/")
    only_plural = gender == "p" or irregular == ["-"]
    en_plural = en if only_plural else irregular[0] if irregular else add_s(en)
    return Noun(singular, gender.replace("w", "m"), plural, en, en_plural, gender == "w", human)


def parse_verb(entry: str) -> Verb:
    german, english, *complements = re.split(" [=:] ", entry)
    infinitive, *third, participle = german.replace(" ist ", " ").split()
    prefix, _, base = infinitive.rpartition("|")
    en, *past = english.split()
    head, glue, tail = re.fullmatch("([a-z]+)([_+]?)(.*)", en).groups()
    return Verb(
        prefix,
        base,
        third[0] if third else "",
        participle,
        auxiliary="sein" if " ist " in german else "haben",
        en=words(head, tail.replace("_", " ")) if glue == "_" else head,
        en_past=past[0] if past else add_ed(head),
        en_particle=tail if glue == "+" else "",
        complements=" ".join(complements).split(),
    )


def parse_place(entry: str) -> tuple[str, Noun, str]:
    """The German preposition, the noun and the English preposition."""
    preposition, singular, gender, en_preposition, en = re.split("[ /=]+", entry)
    return preposition, parse_noun(f"{singular}/{gender}//{en}"), en_preposition


HUMAN = ("person", "relative", "name")
NOUNS = {
    kind: [parse_noun(entry, kind in HUMAN) for entry in entries(table)]
    for kind, table in NOUN_TABLES.items()
}


VERBS = {
    frame: [parse_verb(entry) for entry in entries(table)] for frame, table in VERB_TABLES.items()
}


PLACES = [parse_place(entry) for entry in entries(PLACE_TABLE)]
COPULA = parse_verb("sein ist gewesen = be was")
COST = parse_verb("kosten gekostet = cost cost")


# ---- Sentences drawn ----------------------------------------------------------------------------

# German parts clauses by a comma where English does not.
GERMAN_COMMA = Pair(", ", " ")
SPEAKERS = [pronoun(person, person) for person in ("ich", "du", "wir")]
THIRD_PERSONS = [pronoun(person, person) for person in "mfp"]
POSSESSIONS = ("thing", "text", "clothes", "furniture", "machine", "opening", "load")


def say(*parts: Pair | str) -> Pair:
    """The parts in a row; a string is the same in both languages."""
    pairs = [Pair(part, part) if isinstance(part, str) else part for part in parts]
    return Pair(*map("".join, zip(*pairs)))


@cache
def verbs_with(kind: str) -> list[Verb]:
    return [verb for verb in VERBS["transitive"] if kind in verb.complements]


@cache
def cumulative_weights(n: int) -> list[float]:
    """Of ranks 1 to ``n`` under the Zipf-Mandelbrot law 1 / (rank + 6)^2."""
    return list(accumulate(1 / (rank + 6) ** 2 for rank in range(1, n + 1)))


class Grammar:
    """Draws sentences; the seed fixes which.

    Of Python's generator it uses ``random()`` alone: the one method whose numbers are promised to
    stay the same in every version.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def pair(self) -> Pair:
        """One sentence in both languages."""
        template = self.weighted(
            (34, self.simple),
            (25, self.joined),
            (14, self.contrasted),
            (14, self.with_relative_object),
            (9, self.reported),
            (4, self.measured),
        )
        return Pair(*(text[0].upper() + text[1:].rstrip(",") + "." for text in template()))

    # Chance

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def any_of(self, items: Sequence[T]) -> T:
        return items[self.between(0, len(items) - 1)]

    def frequent(self, items: Sequence[T]) -> T:
        """One of the items, the first ones most often."""
        weights = cumulative_weights(len(items))
        return items[bisect(weights, self._random() * weights[-1])]

    def weighted(self, *options: tuple[int, T]) -> T:
        totals = list(accumulate(weight for weight, _ in options))
        return options[bisect(totals, self._random() * totals[-1])][1]

    # Sentences

    def simple(self) -> Pair:
        subject = self.any_of(SPEAKERS + THIRD_PERSONS) if self.chance(0.2) else self.subject()
        return self.told(self.timed(self.action(subject, negated=self.chance(0.2))))

    def told(self, clause: Clause) -> Pair:
        """As a main clause, in one of the word orders of German."""
        if clause.time != NOTHING and self.chance(0.45):
            return say(clause.time, " ", replace(clause, time=NOTHING).pair("inverted"))
        if len(clause.objects) == 1 and self.chance(0.6):
            [(case, phrase)] = clause.objects
            # Or else it would be taken for the subject.
            if phrase.cases[case] != phrase.cases[NOMINATIVE] and not phrase.is_pronoun:
                german = replace(clause, objects=()).german("inverted")
                return Pair(f"{phrase.cases[case]} {german}", clause.english())
        return clause.pair()

    def joined(self) -> Pair:
        """Two clauses; a pronoun in the second takes up a noun of the first."""
        tense = self.any_of(("past", "present"))
        conjunction = self.frequent(CONJUNCTIONS[tense])
        subject = self.subject()
        if conjunction.de != "denn" and self.chance(0.4):
            one = replace(self.circumstance(conjunction.de, subject), tense=tense)
            two = replace(self.action(subject.pronoun()), tense=tense)
            return say(conjunction, " ", one.pair("subordinate"), ", ", two.pair("inverted"))
        one = replace(self.action(subject, negated=self.chance(0.2)), tense=tense)
        two = self.circumstance(conjunction.de, subject.pronoun(), one.objects)
        order = "main" if conjunction.de == "denn" else "subordinate"
        second = replace(two, tense=tense).pair(order)
        return say(one.pair(), GERMAN_COMMA, conjunction, " ", second)

    def circumstance(self, conjunction: str, subject: NounPhrase, objects: Objects = ()) -> Clause:
        """What the conjunction opens: something about the subject, or one of the objects."""
        if conjunction not in ("weil", "denn", "obwohl") or self.chance(0.4):
            return self.action(subject)
        things = [phrase for _, phrase in objects if phrase.en_person == "n"]
        if things and self.chance(0.6):
            quality = self.frequent(ADJECTIVES["quality"])
            return Clause(self.any_of(things).pronoun(), COPULA, rest=quality)
        return Clause(subject, COPULA, rest=self.frequent(ADJECTIVES["mood"]))

    def contrasted(self) -> Pair:
        """Two things done with the same object, a pronoun in the second."""
        tense = self.any_of(("past", "present"))
        kind = self.frequent(POSSESSIONS)
        subject = self.subject()
        thing = self.something(kind, subject)
        verb = self.frequent(verbs_with(kind))
        other = self.frequent([other for other in verbs_with(kind) if other.en != verb.en])
        one = Clause(subject, verb, ((ACCUSATIVE, thing),), tense=tense)
        two = Clause(subject.pronoun(), other, ((ACCUSATIVE, thing.pronoun()),), tense=tense)
        if self.chance(0.5):
            return say(one.pair(), Pair(", und dann ", ", and then "), two.pair("inverted"))
        return say(one.pair(), Pair(", aber ", ", but "), replace(two, negated=True).pair())

    def with_relative_object(self) -> Pair:
        kind = self.frequent(POSSESSIONS)
        subject = self.subject()
        thing = self.something(kind, subject)
        main = Clause(
            subject,
            self.frequent(verbs_with(kind)),
            ((ACCUSATIVE, thing),),
            tense=self.any_of(("past", "present")),
        )
        that = Pair(relative_pronoun(thing, "that").cases[ACCUSATIVE], "that")
        relative = self.timed(Clause(self.subject(), self.frequent(verbs_with(kind))))
        return say(main.pair(), GERMAN_COMMA, that, " ", relative.pair("subordinate"))

    def reported(self) -> Pair:
        speaker = self.subject()
        saying = Clause(speaker, self.frequent(VERBS["saying"]))
        who = speaker.pronoun() if self.chance(0.5) else self.subject()
        said = self.timed(self.action(who, negated=self.chance(0.2)))
        that = Pair("dass ", "that ")
        return say(saying.pair(), GERMAN_COMMA, that, said.pair("subordinate"))

    def measured(self) -> Pair:
        """An age or a price."""
        if self.chance(0.5):
            age = say(number(self.between(2, 99)), Pair(" Jahre alt", " years old"))
            return Clause(self.subject(), COPULA, rest=age).pair()
        price = say(number(self.between(2, 999)), Pair(" Euro", " euros"))
        thing = self.something(self.frequent(POSSESSIONS), self.any_of(SPEAKERS))
        return Clause(thing, COST, rest=price).pair()

    # Clauses

    def action(self, subject: NounPhrase, negated: bool = False) -> Clause:
        """Something that the subject does, in the present."""
        frame = self.weighted(
            (55, "transitive"),
            (8, "dative"),
            (10, "ditransitive"),
            (9, "prepositional"),
            (10, "placed"),
            (8, "moving"),
        )
        verb = self.frequent(VERBS[frame])
        if frame == "placed":
            return Clause(subject, verb, rest=self.place(), negated=negated)
        if frame == "moving":
            return Clause(subject, verb, rest=self.destination(), negated=negated)
        if frame == "prepositional":
            preposition, case, kind = verb.complements
            phrase = self.complement(kind, subject)
            german = after_preposition(preposition, phrase, ACCUSATIVE if case == "acc" else DATIVE)
            return Clause(subject, verb, rest=Pair(german, phrase.en_object), negated=negated)
        phrase = self.complement(self.frequent(verb.complements), subject, negated)
        objects: Objects = ((DATIVE if frame == "dative" else ACCUSATIVE, phrase),)
        if frame == "ditransitive":
            objects = ((DATIVE, self.complement("person", subject)), *objects)
        where = self.place() if self.chance(0.3) else NOTHING
        negated = negated and not phrase.is_negative
        return Clause(subject, verb, objects, rest=where, negated=negated)

    def timed(self, clause: Clause) -> Clause:
        """Give it a tense, perhaps a modal verb, perhaps a time."""
        tense = self.weighted((50, "past"), (30, "present"), (20, "future"))
        modal = self.frequent(VERBS["modal"]) if self.chance(0.2) else None
        # Only its time tells a German future from a present.
        has_time = tense == "future" or self.chance(0.6)
        time = self.time(tense) if has_time else NOTHING
        return replace(clause, tense=tense, modal=modal, time=time)

    # Phrases

    def subject(self) -> NounPhrase:
        """One person, perhaps with a relative clause, or two; not a pronoun."""
        sort = self.weighted((60, "plain"), (15, "two"), (25, "described"))
        if sort == "described":
            return self.described()
        one = self.somebody(self.any_of(SPEAKERS))
        return both(one, self.somebody(one)) if sort == "two" else one

    def described(self) -> NounPhrase:
        """A person with a relative clause, for use as a subject."""
        head = self.determined("person", self.frequent(NOUNS["person"]), THE)
        if self.chance(0.3):
            whom = Pair(relative_pronoun(head, "whom").cases[DATIVE], "whom")
            helper = self.somebody(self.any_of(SPEAKERS))
            helping = self.timed(Clause(helper, self.frequent(VERBS["dative"])))
            relative = say(whom, " ", helping.pair("subordinate"))
        else:
            who = relative_pronoun(head, "who")
            relative = self.timed(self.action(who)).pair("subordinate")
        nominative = f"{head.cases[NOMINATIVE]}, {relative.de},"
        return replace(head, cases=(nominative,), en_subject=f"{head.en_subject} {relative.en}")

    def complement(self, kind: str, subject: NounPhrase, negated: bool = False) -> NounPhrase:
        """A phrase of the kind that depends on the subject's verb."""
        if kind == "person":
            if self.chance(0.25):
                return self.any_of([p for p in SPEAKERS if p.person != subject.person])
            return self.somebody(subject, negated)
        one = self.something(kind, subject, negated)
        if not negated and self.chance(0.15):
            return both(one, self.something(kind, subject))
        return one

    def somebody(self, owner: NounPhrase, negated: bool = False) -> NounPhrase:
        """A person by name, as a relative of the owner's, or by what they are."""
        sort = self.weighted((15, "name"), (20, "surname"), (20, "relative"), (45, "person"))
        if sort == "surname":
            name = self.any_of(NAME_BEGINNINGS) + self.any_of(SURNAME_ENDINGS)
            return noun_phrase(titled(name, woman=self.chance(0.5)), BARE)
        noun = self.frequent(NOUNS[sort])
        if sort == "name":
            return noun_phrase(noun, BARE)
        if sort == "relative":
            return noun_phrase(noun, possessive(owner))
        # Never the owner's: mein Mann is my husband.
        return self.determined("person", noun, THE, negated)

    def something(self, kind: str, owner: NounPhrase, negated: bool = False) -> NounPhrase:
        """A phrase of the kind, perhaps the owner's, perhaps with a compound."""
        noun = self.frequent(NOUNS[kind])
        if kind in COMPOUND_KINDS and self.chance(0.55):
            noun = noun.compound(self.any_of(MODIFIERS))
        return self.determined(kind, noun, possessive(owner), negated)

    def determined(
        self, kind: str, noun: Noun, own: Determiner, negated: bool = False
    ) -> NounPhrase:
        """The noun with a determiner and perhaps an adjective; *kein* only if ``negated``."""
        adjective = self.adjective(kind) if self.chance(0.5) else None
        if not noun.plural:
            return noun_phrase(noun, NO if negated else BARE, adjective)
        plural = noun.gender == "p" or (noun.en != noun.en_plural and self.chance(0.25))
        if kind != "person" and self.chance(0.2):
            # Without the ending of an article the genitive would not show.
            owner = noun_phrase(self.frequent(NOUNS["person"]), self.any_of((THE, THIS)))
            return owned(noun, owner, adjective, plural)
        if negated:
            determiner = self.weighted((45, NO), (40, THE), (15, own))
        elif plural:
            de, en = number(self.between(2, 9) if self.chance(0.5) else self.between(10, 999))
            count = Determiner(de, NONE, STRONG, en, en)
            determiner = self.weighted((35, THE), (15, BARE), (30, count), (10, MANY), (10, own))
        else:
            determiner = self.weighted((50, THE), (25, A), (10, THIS), (15, own))
        return noun_phrase(noun, determiner, adjective, plural)

    def adjective(self, kind: str) -> Pair:
        return self.frequent(ADJECTIVES.get(kind, ADJECTIVES["thing"]))

    def location(self) -> tuple[str, NounPhrase, str]:
        """A place, before it its preposition in German, after it that in English."""
        preposition, noun, en_preposition = self.frequent(PLACES)
        adjective = self.adjective("sight") if self.chance(0.2) else None
        return preposition, noun_phrase(noun, THE, adjective), en_preposition

    def town(self) -> str:
        return self.any_of(NAME_BEGINNINGS) + self.any_of(TOWN_ENDINGS)

    def place(self) -> Pair:
        """Where something happens."""
        if self.chance(0.25):
            return say("in ", self.town())
        preposition, place, en_preposition = self.location()
        german = after_preposition(preposition, place, DATIVE)
        return Pair(german, f"{en_preposition} {place.en_object}")

    def destination(self) -> Pair:
        if self.chance(0.25):
            return say(Pair("nach ", "to "), self.town())
        preposition, place, _ = self.location()
        if preposition == "in" and self.chance(0.4):
            return Pair(after_preposition("in", place, ACCUSATIVE), f"into {place.en_object}")
        return Pair(after_preposition("zu", place, DATIVE), f"to {place.en_object}")

    def time(self, tense: str) -> Pair:
        if self.chance(0.25):
            clock = clock_time(self.between(1, 12), 15 * self.between(0, 3))
            return say(Pair("morgen ", "tomorrow "), clock) if tense == "future" else clock
        if tense == "past" and self.chance(0.4):
            return self.date()
        return self.frequent(TIMES[tense])

    def date(self) -> Pair:
        year = str(self.between(1900, 2020))
        form = self.weighted((15, "year"), (15, "im Jahr"), (30, "ago"), (40, "day"))
        if form == "ago":
            return say(Pair("vor ", ""), number(self.between(2, 99)), Pair(" Tagen", " days ago"))
        if form == "day":
            day = self.between(1, 28)
            return say(Pair(f"am {day}. ", f"on {day} "), self.any_of(MONTHS), f" {year}")
        return Pair(year if form == "year" else f"im Jahr {year}", f"in {year}")
