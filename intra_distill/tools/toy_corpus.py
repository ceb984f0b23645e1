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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeVar

from intra_distill.tools import UserError

MAX_PAIRS = 50_000  # of all splits: up to here new sentences come quickly
MIN_WORDS, MAX_WORDS = 4, 25  # of a sentence, on either side

T = TypeVar("T")


class Pair(NamedTuple):
    """The same thing said in both languages."""

    de: str
    en: str


NOTHING = Pair("", "")

# ---------------------------------------------------------------------------------------------
# Lexicon. In every table the words come most frequent first.
# ---------------------------------------------------------------------------------------------

# German/gender/plural/English[/irregular plural]. Gender w: masculine of the weak declension,
# p: has no singular. English plural "-": plural in English even where German is singular.
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
        Polizist/w/Polizisten/policeman/policemen; Köchin/f/Köchinnen/cook; Richter/m/Richter/judge;
        Kollege/w/Kollegen/colleague; Anwältin/f/Anwältinnen/lawyer; Dichter/m/Dichter/poet;
        Zwillinge/p/Zwillinge/twins; Soldat/w/Soldaten/soldier; Kellner/m/Kellner/waiter;
        Künstlerin/f/Künstlerinnen/artist; Zeuge/w/Zeugen/witness; Nonne/f/Nonnen/nun;
        Tischler/m/Tischler/carpenter; Schreiner/m/Schreiner/carpenter""",
    "name": """
        Anna/f//Anna; Peter/m//Peter; Maria/f//Maria; Paul/m//Paul; Julia/f//Julia; Otto/m//Otto;
        Lena/f//Lena; Felix/m//Felix; Ingrid/f//Ingrid; Jürgen/m//Jürgen; Ute/f//Ute""",
    "animal": """
        Hund/m/Hunde/dog; Katze/f/Katzen/cat; Pferd/n/Pferde/horse; Vogel/m/Vögel/bird;
        Kuh/f/Kühe/cow; Maus/f/Mäuse/mouse/mice; Schlange/f/Schlangen/snake; Ente/f/Enten/duck;
        Schaf/n/Schafe/sheep/sheep; Hahn/m/Hähne/rooster; Affe/w/Affen/monkey;
        Gans/f/Gänse/goose/geese; Strauß/m/Strauße/ostrich; Bär/w/Bären/bear""",
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
        Absatz/m/Absätze/paragraph; Kochbuch/n/Kochbücher/cookbook; Urkunde/f/Urkunden/deed""",
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
        Waschmaschine/f/Waschmaschinen/washing machine; Aufzug/m/Aufzüge/lift; Boot/n/Boote/boat;
        Motor/m/Motoren/engine; Fahrstuhl/m/Fahrstühle/lift; Pumpe/f/Pumpen/pump""",
    "switch": """
        Licht/n/Lichter/light; Fernseher/m/Fernseher/television; Radio/n/Radios/radio;
        Herd/m/Herde/stove; Heizung/f/Heizungen/heater""",
    "opening": """
        Tür/f/Türen/door; Fenster/n/Fenster/window; Schloss/n/Schlösser/lock; Tor/n/Tore/gate;
        Haustür/f/Haustüren/front door; Schublade/f/Schubladen/drawer; Truhe/f/Truhen/chest""",
    "wall": "Wand/f/Wände/wall; Decke/f/Decken/ceiling; Zaun/m/Zäune/fence; Mauer/f/Mauern/wall",
    "part": """
        Reifen/m/Reifen/tyre; Birne/f/Birnen/light bulb; Mutter/f/Muttern/nut;
        Schraube/f/Schrauben/screw""",
    "sight": """
        Schloss/n/Schlösser/castle; Museum/n/Museen/museum; Kirche/f/Kirchen/church;
        Turm/m/Türme/tower; Burg/f/Burgen/castle; Brücke/f/Brücken/bridge; Dom/m/Dome/cathedral;
        Rathaus/n/Rathäuser/town hall; Mühle/f/Mühlen/mill""",
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
    "transport": """
        Zug/m/Züge/train; Bus/m/Busse/bus; Schiff/n/Schiffe/ship; Flugzeug/n/Flugzeuge/plane;
        Fähre/f/Fähren/ferry""",
}
# Furniture besides: each modifier makes a compound with each head.
COMPOUND_MODIFIERS = """
    Küchen/kitchen; Holz/wooden; Garten/garden; Kinder/children's; Büro/office; Metall/metal;
    Schul/school; Puppen/doll's; Gäste/guest"""
COMPOUND_HEADS = """
    tisch/m/tische/table; stuhl/m/stühle/chair; schrank/m/schränke/cupboard; bank/f/bänke/bench;
    regal/n/regale/shelf/shelves; bett/n/betten/bed"""

# German/gender/preposition/English/preposition: where people are and go.
PLACES = """
    Garten/m/in/garden/in; Küche/f/in/kitchen/in; Schule/f/in/school/at; Stadt/f/in/town/in;
    Büro/n/in/office/in; Bahnhof/m/an/station/at; Park/m/in/park/in; Bank/f/in/bank/at;
    Wald/m/in/forest/in; Markt/m/auf/market/at; See/m/an/lake/by; Dorf/n/in/village/in;
    Krankenhaus/n/in/hospital/in; See/f/an/sea/by; Bibliothek/f/in/library/in;
    Gericht/n/an/court/at; Strand/m/an/beach/on; Fabrik/f/in/factory/in; Insel/f/auf/island/on;
    Bauernhof/m/auf/farm/on; Werkstatt/f/in/workshop/in; Keller/m/in/cellar/in"""
CITIES = """
    Berlin/Berlin; München/Munich; Wien/Vienna; Hamburg/Hamburg; Köln/Cologne; Rom/Rome;
    Zürich/Zurich; Prag/Prague; Brüssel/Brussels; Genf/Geneva; Warschau/Warsaw"""

# German/English[/stem before an ending].
ADJECTIVES = {
    "person": """
        alt/old; jung/young; groß/tall; klein/short; nett/nice; arm/poor; reich/rich;
        klug/clever; höflich/polite; ehrlich/honest; neugierig/curious; faul/lazy; tapfer/brave;
        ehrgeizig/ambitious""",
    "thing": """
        alt/old; neu/new; groß/big; klein/small; schön/beautiful; rot/red; teuer/expensive/teur;
        schwarz/black; billig/cheap; grün/green; hässlich/ugly; weiß/white; seltsam/strange;
        dunkel/dark/dunkl; ungewöhnlich/unusual; winzig/tiny""",
    "food": "frisch/fresh; groß/big; klein/small; kalt/cold; warm/warm; lecker/tasty; salzig/salty",
    "drink": "kalt/cold; warm/warm; gut/good; frisch/fresh; billig/cheap",
    "text": """
        neu/new; lang/long; kurz/short; alt/old; interessant/interesting; langweilig/boring;
        lustig/funny; unbekannt/unknown; geheim/secret""",
    "place": "alt/old; klein/small; groß/big; neu/new; schön/beautiful; berühmt/famous",
    # Of people, and of things, alone: these tell which noun a pronoun stands for.
    "mood": """
        müde/tired; krank/ill; glücklich/happy; traurig/sad; hungrig/hungry; nervös/nervous;
        böse/angry; zufrieden/satisfied; stolz/proud; einsam/lonely; eifersüchtig/jealous""",
    "quality": """
        teuer/expensive; neu/new; billig/cheap; kaputt/broken; nützlich/useful; schwer/heavy;
        praktisch/practical; wertvoll/valuable; schmutzig/dirty""",
}

# German principal parts = English ones : the nouns that go with it. German: the infinitive, "|"
# after a separable prefix; the third person if its vowel changes; "ist" if the perfect takes sein;
# the participle. English: the infinitive, the past if irregular, the participle if different. What
# follows "_" is part of the verb, what follows "+" comes after the object.
VERBS = {
    "transitive": """
        kaufen gekauft = buy bought : thing clothes furniture text machine;
        sehen sieht gesehen = see saw seen : person sight; lesen liest gelesen = read read : text;
        suchen gesucht = look_for : thing text clothes person; an|rufen angerufen = call : person;
        finden gefunden = find found : thing text clothes; öffnen geöffnet = open : opening;
        essen isst gegessen = eat ate eaten : food; trinken getrunken = drink drank drunk : drink;
        brauchen gebraucht = need : thing furniture clothes load machine;
        schreiben geschrieben = write wrote written : text; auf|machen aufgemacht = open : opening;
        besuchen besucht = visit : person sight; tragen trägt getragen = wear wore worn : clothes;
        mit|bringen mitgebracht = bring brought : thing food plant;
        tragen trägt getragen = carry : load; reparieren repariert = repair : machine;
        vergessen vergisst vergessen = forget forgot forgotten : thing clothes;
        treffen trifft getroffen = meet met : person; verkaufen verkauft = sell sold : thing furniture;
        ein|laden lädt eingeladen = invite : person; verlieren verloren = lose lost : thing clothes;
        bestellen bestellt = order : food drink; ab|holen abgeholt = pick+up : person load;
        füttern gefüttert = feed fed : animal; schließen geschlossen = close : opening;
        an|ziehen angezogen = put+on put : clothes; ein|schalten eingeschaltet = switch+on : switch;
        verstehen verstanden = understand understood : text person; streichen gestrichen = paint : wall;
        putzen geputzt = clean : machine opening; besichtigen besichtigt = visit : sight;
        stehlen stiehlt gestohlen = steal stole stolen : thing machine; kosten gekostet = taste : food;
        aus|machen ausgemacht = switch+off : switch; an|machen angemacht = switch+on : switch;
        waschen wäscht gewaschen = wash : clothes; bekommen bekommen = receive : gift text;
        sammeln gesammelt = collect : plant; benutzen benutzt = use : thing machine;
        weg|werfen wirft weggeworfen = throw+away threw thrown : thing text;
        zurück|geben gibt zurückgegeben = give+back gave given : thing text;
        wechseln gewechselt = change : part; aus|ziehen ausgezogen = take+off took taken : clothes;
        zu|machen zugemacht = close : opening; verstecken versteckt = hide hid hidden : thing gift;
        heben gehoben = lift : load; kennen gekannt = know knew known : person;
        zeichnen gezeichnet = draw drew drawn : sight plant; verwenden verwendet = use : thing;
        vor|lesen liest vorgelesen = read+aloud read : text; fangen fängt gefangen = catch caught : animal;
        erhalten erhält erhalten = receive : gift text; pflücken gepflückt = pick : plant;
        aus|schalten ausgeschaltet = switch+off : switch; übersetzen übersetzt = translate : text;
        auf|wecken aufgeweckt = wake+up woke woken : person; schälen geschält = peel : food;
        streicheln gestreichelt = stroke : animal; retten gerettet = rescue : animal person;
        aus|tauschen ausgetauscht = replace : part; umarmen umarmt = hug hugged : person""",
    "dative": """
        helfen hilft geholfen = help; danken gedankt = thank; antworten geantwortet = answer;
        folgen ist gefolgt = follow; zu|hören zugehört = listen_to; vertrauen vertraut = trust;
        begegnen ist begegnet = meet met; widersprechen widerspricht widersprochen = contradict""",
    "ditransitive": """
        geben gibt gegeben = give gave given : thing text food; zeigen gezeigt = show showed shown : thing;
        schenken geschenkt = give gave given : gift; bringen gebracht = bring brought : thing food;
        schicken geschickt = send sent : text gift; leihen geliehen = lend lent : thing text;
        an|bieten angeboten = offer : food thing""",
    # The thing is the subject in German, the person in English.
    "experiencer": "gefallen gefällt gefallen = like : sight text clothes; fehlen gefehlt = miss : person",
    # Before the nouns: the German preposition and its case.
    "prepositional": """
        warten gewartet = wait_for : auf acc person; denken gedacht = think_of thought : an acc person;
        sprechen spricht gesprochen = talk_to : mit dat person; lachen gelacht = laugh_at : über acc text;
        sich erinnern erinnert = remember : an acc person; träumen geträumt = dream_of : von dat sight;
        sich kümmern gekümmert = look_after : um acc animal; sich treffen getroffen = meet met : mit dat person;
        sich verlassen verlässt verlassen = rely_on : auf acc person;
        sich fürchten gefürchtet = fear : vor dat animal""",
    "placed": """
        arbeiten gearbeitet = work; schlafen schläft geschlafen = sleep slept; warten gewartet = wait;
        wohnen gewohnt = live; spielen gespielt = play; singen gesungen = sing sang sung;
        ein|kaufen eingekauft = go_shopping went gone; leben gelebt = live; tanzen getanzt = dance;
        auf|wachen ist aufgewacht = wake_up woke woken; an|kommen ist angekommen = arrive;
        ein|schlafen schläft ist eingeschlafen = fall_asleep fell fallen; weinen geweint = cry;
        sich aus|ruhen ausgeruht = rest; bleiben ist geblieben = stay""",
    "motion": """
        gehen ist gegangen = go went gone; fahren fährt ist gefahren = drive drove driven;
        laufen läuft ist gelaufen = run ran run; zurück|kehren ist zurückgekehrt = return;
        reisen ist gereist = travel travelled; rennen ist gerannt = run ran run""",
    "putting": "legen gelegt = put put; stellen gestellt = put put",
    "departing": "ab|fahren fährt ist abgefahren = leave left; an|kommen ist angekommen = arrive",
    "building": "bauen gebaut = build built; zerstören zerstört = destroy; renovieren renoviert = renovate",
    "saying": """
        sagen gesagt = say said; glauben geglaubt = believe; wissen gewusst = know knew known;
        hoffen gehofft = hope; denken gedacht = think thought; behaupten behauptet = claim;
        vermuten vermutet = suspect""",
    "intending": """
        versuchen versucht = try; vergessen vergisst vergessen = forget forgot forgotten;
        beschließen beschlossen = decide; an|fangen fängt angefangen = begin began begun;
        versprechen verspricht versprochen = promise; sich weigern geweigert = refuse""",
    "weather": "regnen geregnet = rain; schneien geschneit = snow; hageln gehagelt = hail",
    "modal": """
        können gekonnt = can could; müssen gemusst = have_to had; wollen gewollt = want_to;
        dürfen gedurft = be_allowed_to was; sollen gesollt = be_supposed_to was""",
}
PRESENT = {
    "sein": "bin bist ist sind seid sind", "haben": "habe hast hat haben habt haben",
    "können": "kann kannst kann können könnt können", "müssen": "muss musst muss müssen müsst müssen",
    "wollen": "will willst will wollen wollt wollen", "dürfen": "darf darfst darf dürfen dürft dürfen",
    "sollen": "soll sollst soll sollen sollt sollen", "wissen": "weiß weißt weiß wissen wisst wissen",
}
# The verbs whose past is this and not the perfect; of werden it makes the passive.
PRETERITE = {
    "sein": "war", "haben": "hatte", "können": "konnte", "müssen": "musste", "wollen": "wollte",
    "dürfen": "durfte", "sollen": "sollte", "wissen": "wusste", "werden": "wurde",
}

TIMES = {
    "past": """
        gestern/yesterday; letzte Woche/last week; heute Morgen/this morning; am Montag/on Monday;
        gestern Abend/yesterday evening; am Samstag/on Saturday; letzten Sommer/last summer;
        vorgestern/the day before yesterday; im Mai/in May; am Sonnabend/on Saturday;
        letztes Jahr/last year; am Mittwoch/on Wednesday; im März/in March; eines Tages/one day""",
    "present": """
        jeden Tag/every day; am Wochenende/at the weekend; jeden Morgen/every morning;
        abends/in the evening; im Sommer/in summer; sonntags/on Sundays; jede Woche/every week;
        nachts/at night; mittags/at noon""",
    "future": """
        morgen/tomorrow; nächste Woche/next week; morgen früh/tomorrow morning; bald/soon;
        heute Abend/this evening; übermorgen/the day after tomorrow; nächsten Montag/next Monday""",
}
FREQUENCIES = "oft/often; immer/always; manchmal/sometimes; nie/never; selten/rarely"
SURFACES = "auf/on; neben/next to; unter/under; hinter/behind; vor/in front of"
SENSATIONS = "Hunger/hungry; Durst/thirsty; Angst/afraid; Heimweh/homesick"
CONTRACTIONS = {
    "in dem ": "im ", "an dem ": "am ", "zu dem ": "zum ", "zu der ": "zur ", "von dem ": "vom ",
    "in das ": "ins ", "an das ": "ans ",
}
