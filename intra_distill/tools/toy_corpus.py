"""Write a small made-up German-English parallel corpus to try things out on.

The sentences come from a hand-written grammar: real words, inflected and ordered by the rules of
both languages, drawn with long-tailed frequencies. What there is to learn in them:

* German articles, adjectives and nouns inflect for gender, case and number, verbs for person;
* the German verb stands second, at the end (subordinate and relative clauses), or is split over
  both places (perfect, modals, separable prefixes), where English has one place for it;
* words whose English hangs on the rest of the sentence: ``Schloss`` (castle, lock), ``tragen``
  (wear, carry), ``sie`` (she, they, it), a present tense that is a future beside ``morgen``;
* numbers with the units first, ``halb drei`` (half past two), compounds, ``kein`` and ``nicht``.

German varies (synonyms, word order); the English is a function of the German, so that BLEU
against the one reference means something.
"""

import argparse
import os
import random
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from intra_distill.tools import UserError

MAX_PAIRS = 50_000  # of all splits together: up to here new sentences come quickly
MIN_WORDS, MAX_WORDS = 4, 25  # of a sentence, in either language

T = TypeVar("T")


class Pair(NamedTuple):
    """The same thing in both languages."""

    de: str
    en: str


NOTHING = Pair("", "")

# ---------------------------------------------------------------------------------------------
# Lexicon: entries parted by ";", the most frequent first
# ---------------------------------------------------------------------------------------------

# German/gender/plural/English[/irregular plural]. Gender w: masculine of the weak declension,
# p: has no singular. An English plural "-": plural even where German is singular.
NOUNS = {
    "person": """
        Mann/m/Männer/man/men; Frau/f/Frauen/woman/women; Kinder/p/Kinder/children;
        Lehrer/m/Lehrer/teacher; Mädchen/n/Mädchen/girl; Junge/w/Jungen/boy;
        Arzt/m/Ärzte/doctor; Lehrerin/f/Lehrerinnen/teacher; Student/w/Studenten/student;
        Leiter/m/Leiter/manager; Ärztin/f/Ärztinnen/doctor; Bauer/w/Bauern/farmer;
        Schülerin/f/Schülerinnen/pupil; Gast/m/Gäste/guest; König/m/Könige/king;
        Bäcker/m/Bäcker/baker; Königin/f/Königinnen/queen; Dieb/m/Diebe/thief/thieves;
        Polizist/w/Polizisten/policeman/policemen; Köchin/f/Köchinnen/cook;
        Richter/m/Richter/judge; Anwältin/f/Anwältinnen/lawyer; Soldat/w/Soldaten/soldier;
        Zwillinge/p/Zwillinge/twins; Kellner/m/Kellner/waiter; Zeuge/w/Zeugen/witness;
        Künstlerin/f/Künstlerinnen/artist; Nonne/f/Nonnen/nun; Dichter/m/Dichter/poet;
        Tischler/m/Tischler/carpenter; Schreiner/m/Schreiner/carpenter""",
    "relative": """
        Mutter/f//mother; Mann/m//husband; Vater/m//father; Frau/f//wife; Freund/m//friend;
        Bruder/m//brother; Freundin/f//friend; Schwester/f//sister; Eltern/p/Eltern/parents;
        Nachbar/w/Nachbarn/neighbour; Tochter/f//daughter; Sohn/m//son; Tante/f//aunt;
        Onkel/m//uncle; Nachbarin/f//neighbour; Kollege/w/Kollegen/colleague; Enkelin/f//granddaughter""",
    "name": """
        Anna/f//Anna; Peter/m//Peter; Maria/f//Maria; Paul/m//Paul; Julia/f//Julia; Otto/m//Otto;
        Lena/f//Lena; Felix/m//Felix; Ingrid/f//Ingrid; Jürgen/m//Jürgen; Ute/f//Ute""",
    "animal": """
        Hund/m/Hunde/dog; Katze/f/Katzen/cat; Pferd/n/Pferde/horse; Vogel/m/Vögel/bird;
        Kuh/f/Kühe/cow; Maus/f/Mäuse/mouse/mice; Ente/f/Enten/duck; Hahn/m/Hähne/rooster;
        Affe/w/Affen/monkey; Gans/f/Gänse/goose/geese; Strauß/m/Strauße/ostrich;
        Bär/w/Bären/bear; Ziege/f/Ziegen/goat""",
    "thing": """
        Schlüssel/m/Schlüssel/key; Lampe/f/Lampen/lamp; Tasche/f/Taschen/bag;
        Messer/n/Messer/knife/knives; Löffel/m/Löffel/spoon; Tasse/f/Tassen/cup;
        Brille/f/Brillen/glasses/-; Glas/n/Gläser/glass; Gabel/f/Gabeln/fork; Ball/m/Bälle/ball;
        Teller/m/Teller/plate; Decke/f/Decken/blanket; Schirm/m/Schirme/umbrella;
        Flasche/f/Flaschen/bottle; Schere/f/Scheren/scissors/-; Spiegel/m/Spiegel/mirror;
        Topf/m/Töpfe/pot; Korb/m/Körbe/basket; Regenschirm/m/Regenschirme/umbrella;
        Kerze/f/Kerzen/candle; Seil/n/Seile/rope; Puppe/f/Puppen/doll; Besen/m/Besen/broom;
        Nadel/f/Nadeln/needle; Zahnbürste/f/Zahnbürsten/toothbrush; Zange/f/Zangen/pliers/-;
        Trommel/f/Trommeln/drum; Sieb/n/Siebe/sieve; Amboss/m/Ambosse/anvil""",
    "text": """
        Buch/n/Bücher/book; Brief/m/Briefe/letter; Zeitung/f/Zeitungen/newspaper;
        Geschichte/f/Geschichten/story; Roman/m/Romane/novel; Gedicht/n/Gedichte/poem;
        Bericht/m/Berichte/report; Satz/m/Sätze/sentence; Märchen/n/Märchen/fairy tale;
        Absatz/m/Absätze/paragraph; Kochbuch/n/Kochbücher/cookbook""",
    "food": """
        Apfel/m/Äpfel/apple; Suppe/f/Suppen/soup; Kuchen/m/Kuchen/cake; Birne/f/Birnen/pear;
        Ei/n/Eier/egg; Kartoffel/f/Kartoffeln/potato/potatoes; Gericht/n/Gerichte/dish;
        Brötchen/n/Brötchen/roll; Orange/f/Orangen/orange; Wurst/f/Würste/sausage;
        Semmel/f/Semmeln/roll; Apfelsine/f/Apfelsinen/orange; Pflaume/f/Pflaumen/plum""",
    "drink": """
        Kaffee/m//coffee; Wasser/n//water; Tee/m//tea; Milch/f//milk; Wein/m//wine;
        Saft/m//juice; Bier/n//beer; Limonade/f//lemonade""",
    "clothes": """
        Mantel/m/Mäntel/coat; Jacke/f/Jacken/jacket; Hut/m/Hüte/hat; Kleid/n/Kleider/dress;
        Hose/f/Hosen/trousers/-; Hemd/n/Hemden/shirt; Mütze/f/Mützen/cap;
        Handschuhe/p/Handschuhe/gloves; Schal/m/Schals/scarf/scarves; Schürze/f/Schürzen/apron""",
    "load": """
        Koffer/m/Koffer/suitcase; Kiste/f/Kisten/box; Leiter/f/Leitern/ladder;
        Stein/m/Steine/stone; Eimer/m/Eimer/bucket; Sack/m/Säcke/sack; Fass/n/Fässer/barrel""",
    "machine": """
        Auto/n/Autos/car; Fahrrad/n/Fahrräder/bicycle; Uhr/f/Uhren/clock; Hahn/m/Hähne/tap;
        Waschmaschine/f/Waschmaschinen/washing machine; Aufzug/m/Aufzüge/lift;
        Boot/n/Boote/boat; Fahrstuhl/m/Fahrstühle/lift; Pumpe/f/Pumpen/pump""",
    "switch": "Licht/n/Lichter/light; Radio/n/Radios/radio; Herd/m/Herde/stove",
    "opening": """
        Tür/f/Türen/door; Fenster/n/Fenster/window; Schloss/n/Schlösser/lock; Tor/n/Tore/gate;
        Haustür/f/Haustüren/front door; Schublade/f/Schubladen/drawer; Truhe/f/Truhen/chest""",
    "wall": "Wand/f/Wände/wall; Decke/f/Decken/ceiling; Zaun/m/Zäune/fence; Mauer/f/Mauern/wall",
    "goal": "Tor/n/Tore/goal",
    "part": "Reifen/m/Reifen/tyre; Birne/f/Birnen/light bulb; Mutter/f/Muttern/nut",
    "sight": """
        Schloss/n/Schlösser/castle; Museum/n/Museen/museum; Kirche/f/Kirchen/church;
        Turm/m/Türme/tower; Burg/f/Burgen/castle; Brücke/f/Brücken/bridge;
        Dom/m/Dome/cathedral; Rathaus/n/Rathäuser/town hall; Mühle/f/Mühlen/mill""",
    "plant": """
        Blume/f/Blumen/flower; Blatt/n/Blätter/leaf/leaves; Pilz/m/Pilze/mushroom;
        Kräuter/p/Kräuter/herbs; Beere/f/Beeren/berry""",
    "gift": """
        Geschenk/n/Geschenke/present; Strauß/m/Sträuße/bouquet; Bild/n/Bilder/picture;
        Karte/f/Karten/card; Armband/n/Armbänder/bracelet""",
    "seat": "Bank/f/Bänke/bench; Stuhl/m/Stühle/chair; Sofa/n/Sofas/sofa; Boden/m/Böden/floor",
    "furniture": """
        Tisch/m/Tische/table; Schrank/m/Schränke/cupboard; Regal/n/Regale/shelf/shelves;
        Bett/n/Betten/bed; Schreibtisch/m/Schreibtische/desk""",
}
# Furniture besides: each modifier makes a compound with each head.
COMPOUND_MODIFIERS = """
    Küchen/kitchen; Holz/wooden; Garten/garden; Kinder/children's; Büro/office; Metall/metal;
    Schul/school; Puppen/doll's; Gäste/guest"""
COMPOUND_HEADS = """
    tisch/m/tische/table; stuhl/m/stühle/chair; schrank/m/schränke/cupboard; bank/f/bänke/bench;
    regal/n/regale/shelf/shelves; bett/n/betten/bed"""

# Preposition + German/gender = preposition + English: where people are and go.
PLACES = """
    in Garten/m = in garden; in Küche/f = in kitchen; in Schule/f = at school; in Stadt/f = in town;
    in Büro/n = in office; an Bahnhof/m = at station; in Park/m = in park; in Bank/f = at bank;
    in Wald/m = in forest; auf Markt/m = at market; an See/m = by lake; in Dorf/n = in village;
    in Krankenhaus/n = in hospital; an See/f = by sea; in Bibliothek/f = in library;
    an Gericht/n = at court; an Strand/m = on beach; in Fabrik/f = in factory;
    auf Bauernhof/m = on farm; in Werkstatt/f = in workshop; in Keller/m = in cellar"""

ADJECTIVES = {
    "person": """
        alt/old; jung/young; groß/tall; klein/short; nett/nice; arm/poor; reich/rich; klug/clever;
        höflich/polite; ehrlich/honest; neugierig/curious; faul/lazy; ehrgeizig/ambitious""",
    "thing": """
        alt/old; neu/new; groß/big; klein/small; schön/beautiful; rot/red; schwarz/black;
        billig/cheap; grün/green; hässlich/ugly; weiß/white; seltsam/strange;
        ungewöhnlich/unusual; winzig/tiny""",
    "food": "frisch/fresh; groß/big; klein/small; kalt/cold; warm/warm; lecker/tasty",
    "drink": "kalt/cold; warm/warm; gut/good; frisch/fresh",
    "text": """
        neu/new; lang/long; kurz/short; alt/old; interessant/interesting; langweilig/boring;
        lustig/funny; unbekannt/unknown; geheim/secret""",
    "sight": "alt/old; klein/small; groß/big; neu/new; schön/beautiful; berühmt/famous",
    # Of people alone, and of things alone: these tell which noun a pronoun stands for.
    "mood": """
        müde/tired; krank/ill; glücklich/happy; traurig/sad; hungrig/hungry; nervös/nervous;
        böse/angry; zufrieden/satisfied; stolz/proud; einsam/lonely; eifersüchtig/jealous""",
    "quality": """
        teuer/expensive; neu/new; billig/cheap; kaputt/broken; nützlich/useful; schwer/heavy;
        praktisch/practical; wertvoll/valuable; schmutzig/dirty""",
}

# German principal parts = English ones : what goes with the verb. German: the infinitive, "|"
# after a separable prefix; the third person if its vowel changes; "ist" if the perfect takes sein;
# the participle. English: the infinitive, the past if irregular. What follows "_" is part of the
# verb, what follows "+" comes after the object.
VERBS = {
    # : kinds of objects
    "transitive": """
        kaufen gekauft = buy bought : thing clothes furniture text machine;
        sehen sieht gesehen = see saw : person sight; lesen liest gelesen = read read : text;
        suchen gesucht = look_for : thing text clothes person; essen isst gegessen = eat ate : food;
        finden gefunden = find found : thing text clothes; an|rufen angerufen = call : person;
        brauchen gebraucht = need : thing furniture clothes load machine;
        trinken getrunken = drink drank : drink; öffnen geöffnet = open : opening;
        schreiben geschrieben = write wrote : text; auf|machen aufgemacht = open : opening;
        besuchen besucht = visit : person sight; tragen trägt getragen = wear wore : clothes;
        tragen trägt getragen = carry : load; mit|bringen mitgebracht = bring brought : thing food;
        reparieren repariert = repair : machine; treffen trifft getroffen = meet met : person;
        vergessen vergisst vergessen = forget forgot : thing clothes;
        verkaufen verkauft = sell sold : thing furniture machine;
        ein|laden lädt eingeladen = invite : person; bestellen bestellt = order : food drink;
        verlieren verloren = lose lost : thing clothes; ab|holen abgeholt = pick+up : person load;
        füttern gefüttert = feed fed : animal; schließen geschlossen = close : opening;
        an|ziehen angezogen = put+on put : clothes; ein|schalten eingeschaltet = switch+on : switch;
        verstehen verstanden = understand understood : text person;
        streichen gestrichen = paint : wall; schießen geschossen = score : goal; putzen geputzt = clean : machine opening;
        besichtigen besichtigt = visit : sight; kosten gekostet = taste : food;
        stehlen stiehlt gestohlen = steal stole : thing machine;
        aus|machen ausgemacht = switch+off : switch; an|machen angemacht = switch+on : switch;
        waschen wäscht gewaschen = wash : clothes; bekommen bekommen = receive : gift text;
        sammeln gesammelt = collect : plant; benutzen benutzt = use : thing machine;
        weg|werfen wirft weggeworfen = throw+away threw : thing text;
        zurück|geben gibt zurückgegeben = give+back gave : thing text;
        wechseln gewechselt = change : part; aus|ziehen ausgezogen = take+off took : clothes;
        zu|machen zugemacht = close : opening; verstecken versteckt = hide hid : thing gift;
        heben gehoben = lift : load; kennen gekannt = know knew : person;
        zeichnen gezeichnet = draw drew : sight plant; verwenden verwendet = use : thing;
        vor|lesen liest vorgelesen = read+aloud read : text; pflücken gepflückt = pick : plant;
        fangen fängt gefangen = catch caught : animal; empfangen empfängt empfangen = receive : gift;
        aus|schalten ausgeschaltet = switch+off : switch; übersetzen übersetzt = translate : text;
        auf|wecken aufgeweckt = wake+up woke : person; schälen geschält = peel : food;
        streicheln gestreichelt = stroke : animal; retten gerettet = rescue : animal person;
        aus|tauschen ausgetauscht = replace : part; umarmen umarmt = hug hugged : person""",
    # : kinds of things given to people
    "ditransitive": """
        geben gibt gegeben = give gave : thing text food; schenken geschenkt = give gave : gift;
        zeigen gezeigt = show : thing text; bringen gebracht = bring brought : thing food;
        schicken geschickt = send sent : text gift; leihen geliehen = lend lent : thing text;
        an|bieten angeboten = offer : food thing""",
    "dative": """
        helfen hilft geholfen = help : person; danken gedankt = thank : person;
        antworten geantwortet = answer : person; folgen ist gefolgt = follow : person;
        zu|hören zugehört = listen_to : person; begegnen ist begegnet = meet met : person;
        vertrauen vertraut = trust : person animal""",
    # : German preposition, its case, kind of object
    "prepositional": """
        warten gewartet = wait_for : auf acc person; denken gedacht = think_of thought : an acc person;
        sitzen gesessen = sit_on sat : auf dat seat; sprechen spricht gesprochen = talk_to : mit dat person;
        lachen gelacht = laugh_at : über acc text; träumen geträumt = dream_of : von dat sight;
        schlafen schläft geschlafen = sleep_on slept : auf dat seat""",
    "placed": """
        arbeiten gearbeitet = work; schlafen schläft geschlafen = sleep slept; warten gewartet = wait;
        spielen gespielt = play; ein|kaufen eingekauft = go_shopping went;
        singen gesungen = sing sang; an|kommen ist angekommen = arrive; tanzen getanzt = dance;
        ein|schlafen schläft ist eingeschlafen = fall_asleep fell;
        auf|wachen ist aufgewacht = wake_up woke; weinen geweint = cry; bleiben ist geblieben = stay""",
    "moving": """
        gehen ist gegangen = go went; fahren fährt ist gefahren = drive drove;
        laufen läuft ist gelaufen = run ran; zurück|kehren ist zurückgekehrt = return;
        rennen ist gerannt = run ran""",
    "saying": """
        sagen gesagt = say said; glauben geglaubt = believe; hoffen gehofft = hope;
        denken gedacht = think thought; behaupten behauptet = claim""",
    "modal": "können gekonnt = can could; müssen gemusst = have_to had; wollen gewollt = want_to",
}
PRESENT = {
    "sein": "bin bist ist sind seid sind", "haben": "habe hast hat haben habt haben",
    "können": "kann kannst kann können könnt können", "wollen": "will willst will wollen wollt wollen",
    "müssen": "muss musst muss müssen müsst müssen",
}
# The verbs whose past is not the perfect but this.
PRETERITE = {
    "sein": "war warst war waren wart waren", "haben": "hatte hattest hatte hatten hattet hatten",
    "können": "konnte konntest konnte konnten konntet konnten",
    "müssen": "musste musstest musste mussten musstet mussten",
    "wollen": "wollte wolltest wollte wollten wolltet wollten",
}

TIMES = {
    "past": """
        gestern/yesterday; letzte Woche/last week; heute Morgen/this morning; am Montag/on Monday;
        gestern Abend/yesterday evening; am Samstag/on Saturday; letzten Sommer/last summer;
        vorgestern/the day before yesterday; im Mai/in May; am Sonnabend/on Saturday;
        letztes Jahr/last year; am Mittwoch/on Wednesday; eines Tages/one day""",
    "present": """
        jeden Tag/every day; am Wochenende/at the weekend; jeden Morgen/every morning;
        abends/in the evening; im Sommer/in summer; sonntags/on Sundays; mittags/at noon""",
    "future": """
        morgen/tomorrow; nächste Woche/next week; morgen früh/tomorrow morning; bald/soon;
        heute Abend/this evening; übermorgen/the day after tomorrow; nächsten Montag/next Monday""",
}
CONJUNCTIONS = {
    "past": "weil/because; als/when; obwohl/although; denn/because; bevor/before; während/while",
    "present": "weil/because; wenn/if; obwohl/although; denn/because; bevor/before; während/while",
}
CONTRACTIONS = {
    "in dem ": "im ", "an dem ": "am ", "zu dem ": "zum ", "zu der ": "zur ", "von dem ": "vom ",
    "in das ": "ins ",
}

# ---------------------------------------------------------------------------------------------
# Nouns and pronouns
# ---------------------------------------------------------------------------------------------

CASES = NOMINATIVE, ACCUSATIVE, DATIVE = range(3)

# Endings by gender (p: plural) in the order of CASES; "-": none.
ARTICLE = {"m": "er en em", "f": "ie ie er", "n": "as as em", "p": "ie ie en"}
EIN = {"m": "- en em", "f": "e e er", "n": "- - em", "p": "e e en"}
STRONG = {"m": "er en em", "f": "e e er", "n": "es es em", "p": "e e en"}
MIXED = {"m": "er en en", "f": "e e en", "n": "es es en", "p": "en en en"}
WEAK = {"m": "e en en", "f": "e e en", "n": "e e en", "p": "en en en"}
UNINFLECTED = dict.fromkeys("mfnp", "- - -")

# By person, or gender in the third: nominative, accusative, dative, possessive.
GERMAN_PRONOUNS = {
    "ich": "ich mich mir mein", "du": "du dich dir dein", "m": "er ihn ihm sein",
    "f": "sie sie ihr ihr", "n": "es es ihm sein", "wir": "wir uns uns unser",
    "p": "sie sie ihnen ihr",
}
# Subject, object, possessive.
ENGLISH_PRONOUNS = {
    "ich": "I me my", "du": "you you your", "m": "he him his", "f": "she her her",
    "n": "it it its", "wir": "we us our", "p": "they them their",
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


class Noun(NamedTuple):
    singular: str
    gender: str
    plural: str
    en: str
    en_plural: str  # the same as ``en`` if English has the plural alone
    weak: bool
    human: bool

    def german(self, case: int, plural: bool) -> str:
        if plural:
            return self.plural + ("n" if case == DATIVE and self.plural[-1] not in "ns" else "")
        return self.plural if self.weak and case != NOMINATIVE else self.singular


class Determiner(NamedTuple):
    """What opens a noun phrase; adjectives after it have ``adjective_endings``."""

    stem: str
    endings: dict[str, str]
    adjective_endings: dict[str, str]
    en: str
    en_plural: str


THE = Determiner("d", ARTICLE, WEAK, "the", "the")
THIS = Determiner("dies", STRONG, WEAK, "this", "these")
A = Determiner("ein", EIN, MIXED, "a", "")
NO = Determiner("kein", EIN, MIXED, "no", "no")
BARE = Determiner("", UNINFLECTED, STRONG, "", "")
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


def noun_phrase(
    noun: Noun, determiner: Determiner, adjective: Pair | None = None, plural: bool = False
) -> NounPhrase:
    """Inflect a noun and what stands before it for each other, in all cases."""
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


def pronoun(person: str, en_person: str) -> NounPhrase:
    *cases, _ = GERMAN_PRONOUNS[person].split()
    subject, object_, _ = ENGLISH_PRONOUNS[en_person].split()
    return NounPhrase(tuple(cases), subject, object_, person, en_person, is_pronoun=True)


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


# ---------------------------------------------------------------------------------------------
# Verbs and clauses
# ---------------------------------------------------------------------------------------------

PARADIGM = {"ich": 0, "du": 1, "m": 2, "f": 2, "n": 2, "wir": 3, "p": 5}  # 4 would be ihr


class Verb(NamedTuple):
    prefix: str
    base: str  # the infinitive without the prefix
    third: str  # third person singular, if its vowel changes
    participle: str
    auxiliary: str
    en: str
    en_past: str  # of its first word
    en_particle: str  # after the object: switch the light on
    complements: list[str]

    def present(self, person: str) -> str:
        """The finite form, without the prefix."""
        index = PARADIGM[person]
        if self.base in PRESENT:
            return PRESENT[self.base].split()[index]
        stem = self.base.removesuffix("n").removesuffix("e")
        if person == "ich":
            return re.sub("el$", "l", stem) + "e"
        if index > 2:
            return self.base
        if self.third and index == 2:
            return self.third
        if self.third:
            stem = self.third.removesuffix("t")
        elif re.search("([dt]|chn|[fg]n)$", stem):
            stem += "e"
        return stem + ("t" if index == 2 or stem[-1] in "sßz" else "st")


def parse_verb(entry: str) -> Verb:
    german, english, *complements = re.split(" [=:] ", entry)
    infinitive, *third, participle = german.replace(" ist ", " ").split()
    prefix, _, base = infinitive.rpartition("|")
    en, *past = english.split()
    head, glue, tail = re.fullmatch("([a-z]+)([_+]?)(.*)", en).groups()
    past = past[0] if past else re.sub("(?<=[^aeiou])y$", "i", head.removesuffix("e")) + "ed"
    inside, particle = (tail.replace("_", " "), "") if glue == "_" else ("", tail)
    return Verb(
        prefix, base, third[0] if third else "", participle,
        "sein" if " ist " in german else "haben",
        words(head, inside), past, particle, " ".join(complements).split(),
    )  # fmt: skip


COPULA = parse_verb("sein ist gewesen = be was")
COSTING = parse_verb("kosten gekostet = cost cost")


@dataclass(frozen=True)
class Clause:
    """What is said, before it is put into words; ``tense`` is past, present or future."""

    subject: NounPhrase
    verb: Verb
    objects: tuple[tuple[int, NounPhrase], ...] = ()  # each with its German case
    rest: Pair = NOTHING  # a prepositional phrase, or what the copula says of the subject
    time: Pair = NOTHING
    tense: str = "present"
    modal: Verb | None = None
    negated: bool = False

    def main(self) -> Pair:
        finite, closing, _ = self._german_verb()
        return Pair(words(self._subject, finite, self._middle, closing), self.english())

    def inverted(self) -> Pair:
        """The main clause after something else has taken the first place."""
        finite, closing, _ = self._german_verb()
        return Pair(words(finite, self._subject, self._middle, closing), self.english())

    def subordinate(self) -> Pair:
        *_, final = self._german_verb()
        return Pair(words(self._subject, self._middle, final), self.english())

    def time_first(self) -> Pair:
        german, english = replace(self, time=NOTHING).inverted()
        return Pair(words(self.time.de, german), words(self.time.en, english))

    def object_first(self) -> Pair:
        """The main clause with its one object first, which English cannot do."""
        [(case, phrase)] = self.objects
        german = replace(self, objects=()).inverted().de
        return Pair(words(phrase.cases[case], german), self.english())

    def english(self) -> str:
        objects = (phrase.en_object for _, phrase in self.objects)
        particle = self.verb.en_particle
        end = words(*objects, particle, self.rest.en, self.time.en)
        return words(self.subject.en_subject, self._english_verb(), end)

    @property
    def _subject(self) -> str:
        return self.subject.cases[NOMINATIVE]

    @property
    def _has_not(self) -> bool:
        return self.negated and not any(phrase.is_negative for _, phrase in self.objects)

    @property
    def _middle(self) -> str:
        """Everything between the two parts of the German verb, but the subject."""
        pronouns = [phrase.cases[case] for case, phrase in self.objects if phrase.is_pronoun]
        nouns = [phrase.cases[case] for case, phrase in self.objects if not phrase.is_pronoun]
        negation = "nicht" if self._has_not else ""
        return words(*pronouns, self.time.de, *nouns, negation, self.rest.de)

    def _german_verb(self) -> tuple[str, str, str]:
        """The finite verb, what closes a main clause, and what closes a subordinate clause."""
        verb, finite_verb = self.verb, self.modal or self.verb
        index, past = PARADIGM[self.subject.person], self.tense == "past"
        if not past:
            finite = finite_verb.present(self.subject.person)
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

    def _english_verb(self) -> str:
        index, past = PARADIGM[self.subject.en_person], self.tense == "past"
        verb = self.modal or self.verb
        head, _, tail = verb.en.partition(" ")
        tail = words(tail, self.verb.en if self.modal else "")
        negation = "not" if self._has_not else ""
        if self.tense == "future" and not self.modal:
            return words("will", negation, verb.en)
        if head == "be":
            be = "was were was were were were" if past else "am are is are are are"
            return words(be.split()[index], negation)
        if head == "can":
            return words(verb.en_past if past else head, negation, tail).replace("can not", "cannot")
        if negation:
            return words("did" if past else "does" if index == 2 else "do", negation, head, tail)
        third = {"have": "has", "go": "goes"}.get(head) or add_s(head)
        return words(verb.en_past if past else third if index == 2 else head, tail)


# ---------------------------------------------------------------------------------------------
# Numbers and times of day
# ---------------------------------------------------------------------------------------------

GERMAN_UNITS = (
    "/ein/zwei/drei/vier/fünf/sechs/sieben/acht/neun/zehn/elf/zwölf/dreizehn/vierzehn/fünfzehn/"
    "sechzehn/siebzehn/achtzehn/neunzehn"
).split("/")
GERMAN_TENS = "//zwanzig/dreißig/vierzig/fünfzig/sechzig/siebzig/achtzig/neunzig".split("/")
ENGLISH_UNITS = (
    "/one/two/three/four/five/six/seven/eight/nine/ten/eleven/twelve/thirteen/fourteen/fifteen/"
    "sixteen/seventeen/eighteen/nineteen"
).split("/")
ENGLISH_TENS = "//twenty/thirty/forty/fifty/sixty/seventy/eighty/ninety".split("/")


def number(n: int) -> Pair:
    """``n`` from 2 to 99 in words."""
    if n < 20:
        return Pair(GERMAN_UNITS[n], ENGLISH_UNITS[n])
    tens, unit = divmod(n, 10)
    if unit == 0:
        return Pair(GERMAN_TENS[tens], ENGLISH_TENS[tens])
    german = f"{GERMAN_UNITS[unit]}und{GERMAN_TENS[tens]}"
    return Pair(german, f"{ENGLISH_TENS[tens]}-{ENGLISH_UNITS[unit]}")


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
    german = GERMAN_UNITS[de_hour] if de_hour > 1 else "eins"
    return Pair(f"um {de} {german}", f"at {en} {ENGLISH_UNITS[en_hour]}")


# ---------------------------------------------------------------------------------------------
# Drawing sentences
# ---------------------------------------------------------------------------------------------


def entries(table: str) -> list[str]:
    return [entry.strip() for entry in table.split(";")]


def pairs(table: str) -> list[Pair]:
    return [Pair(*entry.split("/")) for entry in entries(table)]


def parse_noun(entry: str, human: bool = False) -> Noun:
    singular, gender, plural, en, *irregular = entry.split("/")
    only_plural = gender == "p" or irregular == ["-"]
    en_plural = en if only_plural else irregular[0] if irregular else add_s(en)
    return Noun(singular, gender.replace("w", "m"), plural, en, en_plural, gender == "w", human)


def compounds() -> list[Noun]:
    nouns = []
    for modifier, english in pairs(COMPOUND_MODIFIERS):
        for head in map(parse_noun, entries(COMPOUND_HEADS)):
            nouns.append(
                head._replace(
                    singular=modifier + head.singular, plural=modifier + head.plural,
                    en=f"{english} {head.en}", en_plural=f"{english} {head.en_plural}",
                )
            )  # fmt: skip
    return nouns


@cache
def cumulative_weights(n: int) -> list[float]:
    """Of ranks 1 to ``n`` under the Zipf-Mandelbrot law 1 / (rank + 2)^2."""
    return list(accumulate(1 / (rank + 2) ** 2 for rank in range(1, n + 1)))


SUBJECT_PRONOUNS = [pronoun(person, person) for person in ("ich", "m", "f", "wir", "p", "du")]
SPEAKERS = [pronoun(person, person) for person in ("ich", "du", "wir")]
POSSESSIONS = ["thing", "text", "clothes", "furniture", "machine", "opening", "switch", "load"]


class Grammar:
    """Draws sentences; the seed fixes which.

    Of Python's generator it uses ``random()`` alone: the one method whose numbers are promised to
    stay the same in every version.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random
        self.nouns = {
            kind: [parse_noun(entry, kind in ("person", "relative", "name")) for entry in entries(table)]
            for kind, table in NOUNS.items()
        }
        self.nouns["furniture"] += compounds()
        self.verbs = {frame: list(map(parse_verb, entries(t))) for frame, t in VERBS.items()}
        self.adjectives = {kind: pairs(table) for kind, table in ADJECTIVES.items()}
        self.times = {tense: pairs(table) for tense, table in TIMES.items()}
        self.conjunctions = {tense: pairs(table) for tense, table in CONJUNCTIONS.items()}
        self.places = [re.split("[ /=]+", entry) for entry in entries(PLACES)]

    def pair(self) -> Pair:
        """One sentence in both languages."""
        template = self.weighted(
            (30, self.simple), (22, self.joined), (12, self.contrast), (10, self.subject_relative),
            (10, self.object_relative), (8, self.reported), (4, self.measured),
        )  # fmt: skip
        de, en = template()
        return Pair(*(text[0].upper() + text[1:] + "." for text in (de, en)))

    # Chance

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        return low + int(self._random() * (high - low + 1))

    def any_of(self, items: Sequence[T]) -> T:
        return items[self.between(0, len(items) - 1)]

    def weighted(self, *options: tuple[int, T]) -> T:
        totals = list(accumulate(weight for weight, _ in options))
        return options[bisect(totals, self._random() * totals[-1])][1]

    def frequent(self, items: Sequence[T]) -> T:
        """One of the items, the first ones most often."""
        weights = cumulative_weights(len(items))
        return items[bisect(weights, self._random() * weights[-1])]

    # Phrases

    def phrase(self, kind: str, owner: NounPhrase, negated: bool = False) -> NounPhrase:
        """Something of the kind, perhaps the owner's; ``negated``: fit for a negated clause."""
        own = possessive(owner)
        if kind == "person":
            if self.chance(0.3):
                return noun_phrase(self.frequent(self.nouns["relative"]), own)
            # Not mein Mann: that is a husband.
            own = THE
        noun = self.frequent(self.nouns[kind])
        adjective = self.adjective(kind) if self.chance(0.3) else None
        if not noun.plural:
            return noun_phrase(noun, NO if negated else BARE, adjective)
        plural = noun.gender == "p" or (noun.en != noun.en_plural and self.chance(0.25))
        if negated:
            choice = [(45, NO), (40, THE), (15, own)]
        elif plural:
            choice = [(40, THE), (15, BARE), (25, self.count()), (10, MANY), (10, own)]
        else:
            choice = [(50, THE), (25, A), (10, THIS), (15, own)]
        return noun_phrase(noun, self.weighted(*choice), adjective, plural)

    def adjective(self, kind: str) -> Pair:
        return self.frequent(self.adjectives.get(kind, self.adjectives["thing"]))

    def count(self) -> Determiner:
        de, en = number(self.between(2, 9) if self.chance(0.5) else self.between(10, 99))
        return Determiner(de, UNINFLECTED, STRONG, en, en)

    def person(self) -> NounPhrase:
        if self.chance(0.15):
            return noun_phrase(self.frequent(self.nouns["name"]), BARE)
        return self.phrase("person", self.any_of(SPEAKERS))

    def subject(self) -> NounPhrase:
        return self.any_of(SUBJECT_PRONOUNS) if self.chance(0.2) else self.person()

    def object(self, kind: str, subject: NounPhrase, negated: bool = False) -> NounPhrase:
        if kind == "person" and self.chance(0.25):
            return self.any_of([p for p in SPEAKERS if p.person != subject.person])
        return self.phrase(kind, subject, negated)

    def place(self, going: bool) -> Pair:
        preposition, singular, gender, en_preposition, en = self.frequent(self.places)
        adjective = self.adjective("sight") if self.chance(0.2) else None
        place = noun_phrase(parse_noun(f"{singular}/{gender}//{en}"), THE, adjective)
        case = DATIVE
        if going and preposition == "in" and self.chance(0.4):
            case, en_preposition = ACCUSATIVE, "into"
        elif going:
            preposition, en_preposition = "zu", "to"
        german = after_preposition(preposition, place, case)
        return Pair(german, f"{en_preposition} {place.en_object}")

    def time(self, tense: str) -> Pair:
        if tense != "future" and self.chance(0.2):
            return clock_time(self.between(1, 12), 15 * self.between(0, 3))
        if tense == "past" and self.chance(0.25):
            if self.chance(0.5):
                year = self.between(1900, 2020)
                return Pair(f"{self.any_of(('', 'im Jahr '))}{year}", f"in {year}")
            days = number(self.between(2, 30))
            return Pair(f"vor {days.de} Tagen", f"{days.en} days ago")
        return self.frequent(self.times[tense])

    # Clauses

    def action(self, subject: NounPhrase, negated: bool = False) -> Clause:
        """Something that the subject does, in the present."""
        frame = self.weighted(
            (55, "transitive"), (8, "dative"), (10, "ditransitive"), (9, "prepositional"),
            (10, "placed"), (8, "moving"),
        )  # fmt: skip
        verb = self.frequent(self.verbs[frame])
        if frame in ("placed", "moving"):
            where = self.place(going=frame == "moving")
            return Clause(subject, verb, rest=where, negated=negated)
        if frame == "prepositional":
            preposition, case, kind = verb.complements
            phrase = self.object(kind, subject)
            german = after_preposition(preposition, phrase, ACCUSATIVE if case == "acc" else DATIVE)
            return Clause(subject, verb, rest=Pair(german, phrase.en_object), negated=negated)
        receivers = [(DATIVE, self.object("person", subject))] if frame == "ditransitive" else []
        phrase = self.object(self.frequent(verb.complements), subject, negated)
        case = DATIVE if frame == "dative" else ACCUSATIVE
        return Clause(subject, verb, (*receivers, (case, phrase)), negated=negated)

    def timed(self, clause: Clause) -> Clause:
        """Give it a tense, perhaps a modal verb, perhaps a time."""
        tense = self.weighted((50, "past"), (30, "present"), (20, "future"))
        modal = self.frequent(self.verbs["modal"]) if self.chance(0.2) else None
        # Only its time tells a German future from a present.
        has_time = tense == "future" or self.chance(0.6)
        time = self.time(tense) if has_time else NOTHING
        return replace(clause, tense=tense, modal=modal, time=time)

    def told(self, clause: Clause) -> Pair:
        """As a main clause, in one of the word orders of German."""
        if clause.time != NOTHING and self.chance(0.45):
            return clause.time_first()
        if len(clause.objects) == 1 and self.chance(0.25):
            [(case, phrase)] = clause.objects
            # Or else it would be taken for the subject.
            if phrase.cases[case] != phrase.cases[NOMINATIVE] and not phrase.is_pronoun:
                return clause.object_first()
        return clause.main()

    # Sentences

    def simple(self) -> Pair:
        return self.told(self.timed(self.action(self.subject(), negated=self.chance(0.2))))

    def joined(self) -> Pair:
        """Two clauses; a pronoun in the second takes up a noun of the first."""
        tense = self.any_of(("past", "present"))
        conjunction = self.frequent(self.conjunctions[tense])
        first = self.person()
        second = pronoun(first.person, first.en_person)
        if conjunction.de != "denn" and self.chance(0.4):
            cause = replace(self.circumstance(conjunction.de, first), tense=tense).subordinate()
            main = replace(self.action(second), tense=tense).inverted()
            return Pair(*(f"{c} {x}, {y}" for c, x, y in zip(conjunction, cause, main)))
        main = replace(self.action(first, negated=self.chance(0.2)), tense=tense)
        cause = replace(self.circumstance(conjunction.de, second, main), tense=tense)
        german = cause.main().de if conjunction.de == "denn" else cause.subordinate().de
        return Pair(
            f"{main.main().de}, {conjunction.de} {german}",
            f"{main.english()} {conjunction.en} {cause.english()}",
        )

    def circumstance(
        self, conjunction: str, subject: NounPhrase, main: Clause | None = None
    ) -> Clause:
        """What follows the conjunction: about the subject, or about a thing in the main clause."""
        if conjunction not in ("weil", "denn", "obwohl") or self.chance(0.4):
            return self.action(subject)
        things = [phrase for _, phrase in main.objects if phrase.en_person == "n"] if main else []
        if things and self.chance(0.6):
            [thing] = things
            rest = self.frequent(self.adjectives["quality"])
            return Clause(pronoun(thing.person, thing.en_person), COPULA, rest=rest)
        return Clause(subject, COPULA, rest=self.frequent(self.adjectives["mood"]))

    def contrast(self) -> Pair:
        """Two things done to the same object, a pronoun in the second."""
        kind = self.frequent(POSSESSIONS)
        verbs = [verb for verb in self.verbs["transitive"] if kind in verb.complements]
        verb = self.frequent(verbs)
        other = self.frequent([other for other in verbs if other.participle != verb.participle])
        tense = self.any_of(("past", "present"))
        subject = self.person()
        thing = self.phrase(kind, subject)
        again = pronoun(subject.person, subject.en_person)
        it = ((ACCUSATIVE, pronoun(thing.person, thing.en_person)),)
        first = Clause(subject, verb, ((ACCUSATIVE, thing),), tense=tense).main()
        second = Clause(again, other, it, tense=tense)
        if self.chance(0.5):
            second, linked = second.inverted(), Pair("und dann", "and then")
        else:
            second, linked = replace(second, negated=True).main(), Pair("aber", "but")
        return Pair(*(f"{x}, {link} {y}" for x, link, y in zip(first, linked, second)))

    def subject_relative(self) -> Pair:
        head = self.phrase("person", self.any_of(SPEAKERS))
        if self.chance(0.25):
            helped = relative_pronoun(head, "whom")
            verb = self.frequent(self.verbs["dative"])
            de, en = self.timed(Clause(self.person(), verb)).subordinate()
            relative = Pair(f"{helped.cases[DATIVE]} {de}", f"whom {en}")
        else:
            relative = self.timed(self.action(relative_pronoun(head, "who"))).subordinate()
        nominative, *others = head.cases
        subject = replace(
            head,
            cases=(f"{nominative}, {relative.de},", *others),
            en_subject=f"{head.en_subject} {relative.en}",
        )
        return self.told(self.timed(self.action(subject)))

    def object_relative(self) -> Pair:
        kind = self.frequent(POSSESSIONS)
        verbs = [verb for verb in self.verbs["transitive"] if kind in verb.complements]
        subject = self.person()
        thing = self.phrase(kind, subject)
        main = self.timed(Clause(subject, self.frequent(verbs), ((ACCUSATIVE, thing),)))
        # A time at the end of the English would seem to belong to the relative clause.
        main = main.time_first() if main.time != NOTHING else main.main()
        who, that = self.subject(), relative_pronoun(thing, "that").cases[ACCUSATIVE]
        relative = self.timed(Clause(who, self.frequent(verbs))).subordinate()
        return Pair(f"{main.de}, {that} {relative.de}", f"{main.en} that {relative.en}")

    def reported(self) -> Pair:
        speaker = self.person()
        saying = Clause(speaker, self.frequent(self.verbs["saying"])).main()
        same = pronoun(speaker.person, speaker.en_person)
        who = same if self.chance(0.5) else self.person()
        said = self.timed(self.action(who, negated=self.chance(0.2))).subordinate()
        return Pair(f"{saying.de}, dass {said.de}", f"{saying.en} that {said.en}")

    def measured(self) -> Pair:
        """An age or a price."""
        de, en = number(self.between(20, 99))
        if self.chance(0.5):
            rest = Pair(f"{de} Jahre alt", f"{en} years old")
            return Clause(self.person(), COPULA, rest=rest).main()
        thing = self.phrase(self.frequent(POSSESSIONS), self.any_of(SPEAKERS))
        return Clause(thing, COSTING, rest=Pair(f"{de} Euro", f"{en} euros")).main()


# ---------------------------------------------------------------------------------------------
# The corpus
# ---------------------------------------------------------------------------------------------


def distinct_pairs(seed: int) -> Iterator[Pair]:
    """Pairs no two of which have the same German or the same English."""
    grammar = Grammar(seed)
    seen: tuple[set[str], set[str]] = set(), set()
    while True:
        pair = grammar.pair()
        lengths = [len(text.split()) for text in pair]
        fits = MIN_WORDS <= min(lengths) and max(lengths) <= MAX_WORDS
        if fits and pair.de not in seen[0] and pair.en not in seen[1]:
            seen[0].add(pair.de)
            seen[1].add(pair.en)
            yield pair


def toy_corpus(train: int, valid: int, test: int, seed: int) -> dict[str, list[Pair]]:
    """Draw the splits ``train``, ``valid`` and ``test`` of so many sentence pairs.

    No sentence of either language occurs twice, in one split or in two. The training pairs are
    drawn last: the same seed gives the same test set beside a larger or smaller training set.

    Raises:
        UserError: if a size is below 1, or all together are more than ``MAX_PAIRS``.
    """
    sizes = {"test": test, "valid": valid, "train": train}
    for split, size in sizes.items():
        if size < 1:
            raise UserError(f"--{split} {size}: a split has at least 1 sentence pair")
    total = sum(sizes.values())
    if total > MAX_PAIRS:
        raise UserError(
            f"--train, --valid and --test ask for {total} sentence pairs in all: "
            f"the grammar is good for {MAX_PAIRS}, ask for fewer"
        )
    drawn = distinct_pairs(seed)
    return {split: list(islice(drawn, size)) for split, size in sizes.items()}
