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
        Mutter/f/Mütter/mother; Lehrerin/f/Lehrerinnen/teacher; Freund/m/Freunde/friend;
        Vater/m/Väter/father; Freundin/f/Freundinnen/friend; Eltern/p/Eltern/parents;
        Bruder/m/Brüder/brother; Schwester/f/Schwestern/sister; Nachbar/w/Nachbarn/neighbour;
        Arzt/m/Ärzte/doctor; Nachbarin/f/Nachbarinnen/neighbour; Student/w/Studenten/student;
        Tochter/f/Töchter/daughter; Sohn/m/Söhne/son; Leiter/m/Leiter/manager;
        Ärztin/f/Ärztinnen/doctor; Bäcker/m/Bäcker/baker; Bauer/w/Bauern/farmer;
        Gast/m/Gäste/guest; Tante/f/Tanten/aunt; Onkel/m/Onkel/uncle; König/m/Könige/king;
        Schülerin/f/Schülerinnen/pupil; Königin/f/Königinnen/queen; Dieb/m/Diebe/thief/thieves;
        Polizist/w/Polizisten/policeman/policemen; Köchin/f/Köchinnen/cook;
        Richter/m/Richter/judge; Kollege/w/Kollegen/colleague; Anwältin/f/Anwältinnen/lawyer;
        Zwillinge/p/Zwillinge/twins; Soldat/w/Soldaten/soldier; Kellner/m/Kellner/waiter;
        Künstlerin/f/Künstlerinnen/artist; Zeuge/w/Zeugen/witness; Nonne/f/Nonnen/nun;
        Tischler/m/Tischler/carpenter; Schreiner/m/Schreiner/carpenter; Dichter/m/Dichter/poet""",
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
        streichen gestrichen = paint : wall; putzen geputzt = clean : machine opening;
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
        fangen fängt gefangen = catch caught : animal; erhalten erhält erhalten = receive : gift;
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
        wohnen gewohnt = live; spielen gespielt = play; ein|kaufen eingekauft = go_shopping went;
        singen gesungen = sing sang; an|kommen ist angekommen = arrive; tanzen getanzt = dance;
        ein|schlafen schläft ist eingeschlafen = fall_asleep fell; leben gelebt = live;
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
