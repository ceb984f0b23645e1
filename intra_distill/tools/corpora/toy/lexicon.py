"""The words of the toy corpus: tables whose entries are parted by ";", the most frequent first."""

from typing import NamedTuple


class Pair(NamedTuple):
    """The same thing in both languages."""

    de: str
    en: str


NOTHING = Pair("", "")


def entries(table: str) -> list[str]:
    return [entry.strip() for entry in table.split(";")]


def pairs(table: str) -> list[Pair]:
    """Of entries German/English."""
    return [Pair(*entry.split("/")) for entry in entries(table)]


# German/gender/plural/English[/irregular plural]. Gender w: masculine of the weak declension,
# p: has no singular. An English plural "-": plural even where German is singular.
NOUN_TABLES = {
    "person": """
        Mann/m/Männer/man/men; Frau/f/Frauen/woman/women; Kinder/p/Kinder/children;
        Lehrer/m/Lehrer/teacher; Mädchen/n/Mädchen/girl; Junge/w/Jungen/boy; Arzt/m/Ärzte/doctor;
        Lehrerin/f/Lehrerinnen/teacher; Student/w/Studenten/student; Leiter/m/Leiter/manager;
        Ärztin/f/Ärztinnen/doctor; Bauer/w/Bauern/farmer; Schülerin/f/Schülerinnen/pupil;
        Gast/m/Gäste/guest; König/m/Könige/king; Bäcker/m/Bäcker/baker; Königin/f/Königinnen/queen;
        Dieb/m/Diebe/thief/thieves; Polizist/w/Polizisten/policeman/policemen;
        Köchin/f/Köchinnen/cook; Richter/m/Richter/judge; Anwältin/f/Anwältinnen/lawyer;
        Soldat/w/Soldaten/soldier; Zwillinge/p/Zwillinge/twins; Kellner/m/Kellner/waiter;
        Zeuge/w/Zeugen/witness; Künstlerin/f/Künstlerinnen/artist; Nonne/f/Nonnen/nun;
        Dichter/m/Dichter/poet; Tischler/m/Tischler/carpenter; Schreiner/m/Schreiner/carpenter""",
    # Each is somebody's.
    "relative": """
        Mutter/f//mother; Mann/m//husband; Vater/m//father; Frau/f//wife; Freund/m//friend;
        Bruder/m//brother; Freundin/f//friend; Schwester/f//sister; Eltern/p/Eltern/parents;
        Nachbar/w/Nachbarn/neighbour; Tochter/f//daughter; Sohn/m//son; Tante/f//aunt;
        Onkel/m//uncle; Nachbarin/f//neighbour; Kollege/w/Kollegen/colleague; Enkel/m//grandson""",
    "name": """
        Anna/f//Anna; Peter/m//Peter; Maria/f//Maria; Paul/m//Paul; Julia/f//Julia; Otto/m//Otto;
        Lena/f//Lena; Felix/m//Felix; Ingrid/f//Ingrid; Jürgen/m//Jürgen; Ute/f//Ute""",
    "animal": """
        Hund/m/Hunde/dog; Hahn/m/Hähne/rooster; Katze/f/Katzen/cat; Strauß/m/Strauße/ostrich;
        Pferd/n/Pferde/horse; Vogel/m/Vögel/bird; Kuh/f/Kühe/cow; Maus/f/Mäuse/mouse/mice;
        Affe/w/Affen/monkey; Gans/f/Gänse/goose/geese; Bär/w/Bären/bear; Ziege/f/Ziegen/goat""",
    "thing": """
        Schlüssel/m/Schlüssel/key; Lampe/f/Lampen/lamp; Tasche/f/Taschen/bag;
        Messer/n/Messer/knife/knives; Löffel/m/Löffel/spoon; Tasse/f/Tassen/cup;
        Brille/f/Brillen/glasses/-; Glas/n/Gläser/glass; Gabel/f/Gabeln/fork; Ball/m/Bälle/ball;
        Teller/m/Teller/plate; Decke/f/Decken/blanket; Schirm/m/Schirme/umbrella;
        Flasche/f/Flaschen/bottle; Schere/f/Scheren/scissors/-; Spiegel/m/Spiegel/mirror;
        Topf/m/Töpfe/pot; Korb/m/Körbe/basket; Kerze/f/Kerzen/candle; Seil/n/Seile/rope;
        Puppe/f/Puppen/doll; Besen/m/Besen/broom; Nadel/f/Nadeln/needle; Sieb/n/Siebe/sieve;
        Zange/f/Zangen/pliers/-; Trommel/f/Trommeln/drum; Amboss/m/Ambosse/anvil""",
    "furniture": """
        Tisch/m/Tische/table; Stuhl/m/Stühle/chair; Schrank/m/Schränke/cupboard; Bett/n/Betten/bed;
        Regal/n/Regale/shelf/shelves; Truhe/f/Truhen/chest; Hocker/m/Hocker/stool;
        Wiege/f/Wiegen/cradle""",
    "clothes": """
        Mantel/m/Mäntel/coat; Jacke/f/Jacken/jacket; Hut/m/Hüte/hat; Kleid/n/Kleider/dress;
        Hose/f/Hosen/trousers/-; Hemd/n/Hemden/shirt; Mütze/f/Mützen/cap;
        Handschuhe/p/Handschuhe/gloves; Schal/m/Schals/scarf/scarves; Schürze/f/Schürzen/apron""",
    "text": """
        Buch/n/Bücher/book; Brief/m/Briefe/letter; Zeitung/f/Zeitungen/newspaper;
        Geschichte/f/Geschichten/story; Roman/m/Romane/novel; Gedicht/n/Gedichte/poem;
        Bericht/m/Berichte/report; Lied/n/Lieder/song; Märchen/n/Märchen/fairy tale""",
    "machine": """
        Auto/n/Autos/car; Fahrrad/n/Fahrräder/bicycle; Uhr/f/Uhren/clock; Hahn/m/Hähne/tap;
        Aufzug/m/Aufzüge/lift; Boot/n/Boote/boat; Fahrstuhl/m/Fahrstühle/lift;
        Pumpe/f/Pumpen/pump""",
    "opening": """
        Tür/f/Türen/door; Fenster/n/Fenster/window; Schloss/n/Schlösser/lock; Tor/n/Tore/gate;
        Schublade/f/Schubladen/drawer; Luke/f/Luken/hatch""",
    "load": """
        Koffer/m/Koffer/suitcase; Kiste/f/Kisten/box; Leiter/f/Leitern/ladder; Stein/m/Steine/stone;
        Eimer/m/Eimer/bucket; Sack/m/Säcke/sack; Fass/n/Fässer/barrel""",
    "wall": "Decke/f/Decken/ceiling; Wand/f/Wände/wall; Zaun/m/Zäune/fence; Mauer/f/Mauern/wall",
    "part": "Birne/f/Birnen/light bulb; Reifen/m/Reifen/tyre; Mutter/f/Muttern/nut",
    "food": """
        Apfel/m/Äpfel/apple; Suppe/f/Suppen/soup; Kuchen/m/Kuchen/cake; Birne/f/Birnen/pear;
        Ei/n/Eier/egg; Kartoffel/f/Kartoffeln/potato/potatoes; Gericht/n/Gerichte/dish;
        Brötchen/n/Brötchen/roll; Orange/f/Orangen/orange; Wurst/f/Würste/sausage;
        Semmel/f/Semmeln/roll; Apfelsine/f/Apfelsinen/orange; Pflaume/f/Pflaumen/plum""",
    "drink": """
        Kaffee/m//coffee; Wasser/n//water; Tee/m//tea; Milch/f//milk; Wein/m//wine; Saft/m//juice;
        Bier/n//beer; Limonade/f//lemonade""",
    "sight": """
        Schloss/n/Schlösser/castle; Museum/n/Museen/museum; Kirche/f/Kirchen/church;
        Turm/m/Türme/tower; Burg/f/Burgen/castle; Brücke/f/Brücken/bridge; Dom/m/Dome/cathedral;
        Rathaus/n/Rathäuser/town hall; Mühle/f/Mühlen/mill""",
    "gift": """
        Geschenk/n/Geschenke/present; Strauß/m/Sträuße/bouquet; Bild/n/Bilder/picture;
        Blume/f/Blumen/flower; Karte/f/Karten/card; Armband/n/Armbänder/bracelet""",
    "seat": "Bank/f/Bänke/bench; Stuhl/m/Stühle/chair; Sofa/n/Sofas/sofa; Boden/m/Böden/floor",
}


# First parts of compounds.
MODIFIERS = pairs("""
    Kinder/children's; Garten/garden; Schul/school; Küchen/kitchen; Reise/travel; Winter/winter;
    Sommer/summer; Jagd/hunting; Stadt/city; Sport/sports; Gäste/guest; Hotel/hotel;
    Puppen/doll's; Arbeits/work; Theater/theatre; Schiffs/ship's; Familien/family; Dorf/village;
    Weihnachts/Christmas; Bauern/farmer's; Kloster/monastery; Luxus/luxury; Polizei/police;
    Hochzeits/wedding; Museums/museum; Spielzeug/toy; Miet/rental; Stall/stable""")


COMPOUND_KINDS = ("thing", "furniture", "clothes", "text", "machine", "opening")
# A surname, or the name of a town, is a beginning and an ending.
NAME_BEGINNINGS = """
    Berg Stein Wald Feld Neu Alt Ober Nieder Linden Eichen Sonnen Rosen Kirch Brunn Grün Schwarz
    Hoch Winter Tannen Mühl Silber Königs Adel Birken Hirsch Wolfs""".split()


SURNAME_ENDINGS = """
    mann meier hofer bauer müller hauser berger wirt huber stetter thaler gruber schmidt
    eder""".split()


TOWN_ENDINGS = "dorf heim burg stadt bach furt brück hausen tal see".split()
# Preposition + German/gender = preposition + English: where people are and go.
PLACE_TABLE = """
    in Garten/m = in garden; in Küche/f = in kitchen; in Schule/f = at school;
    in Stadt/f = in town; in Büro/n = in office; an Bahnhof/m = at station; in Park/m = in park;
    in Bank/f = at bank; in Wald/m = in forest; auf Markt/m = at market; an See/m = by lake;
    in Dorf/n = in village; in Krankenhaus/n = in hospital; an See/f = by sea;
    an Gericht/n = at court; an Strand/m = on beach; in Fabrik/f = in factory;
    auf Bauernhof/m = on farm; in Werkstatt/f = in workshop; in Keller/m = in cellar"""


ADJECTIVES = {
    "person": pairs("""
        alt/old; jung/young; groß/tall; klein/short; nett/nice; arm/poor; reich/rich; klug/clever;
        höflich/polite; freundlich/friendly; neugierig/curious; faul/lazy; ehrgeizig/ambitious"""),
    "thing": pairs("""
        alt/old; neu/new; groß/big; klein/small; schön/beautiful; rot/red; schwarz/black;
        billig/cheap; grün/green; hässlich/ugly; weiß/white; seltsam/strange; ungewöhnlich/unusual;
        winzig/tiny"""),
    "food": pairs("frisch/fresh; groß/big; klein/small; kalt/cold; warm/warm; billig/cheap"),
    "drink": pairs("kalt/cold; warm/warm; gut/good; frisch/fresh; billig/cheap"),
    "text": pairs("""
        neu/new; lang/long; kurz/short; alt/old; interessant/interesting; langweilig/boring;
        lustig/funny; unbekannt/unknown; geheim/secret"""),
    "sight": pairs("alt/old; klein/small; groß/big; neu/new; schön/beautiful; berühmt/famous"),
    # Of people alone, and of things alone: these tell which noun a pronoun stands for.
    "mood": pairs("""
        müde/tired; krank/ill; glücklich/happy; traurig/sad; hungrig/hungry; nervös/nervous;
        böse/angry; zufrieden/satisfied; stolz/proud; einsam/lonely; eifersüchtig/jealous"""),
    "quality": pairs("""
        teuer/expensive; neu/new; billig/cheap; kaputt/broken; nützlich/useful; schwer/heavy;
        praktisch/practical; wertvoll/valuable; schmutzig/dirty"""),
}


# German principal parts = English ones : what goes with the verb. German: the infinitive, "|"
# after a separable prefix; the third person if its vowel changes; "ist" if the perfect takes sein;
# the participle. English: the infinitive, the past if irregular. What follows "_" is part of the
# verb, what follows "+" comes after the object.
VERB_TABLES = {
    # : kinds of objects
    "transitive": """
        kaufen gekauft = buy bought : thing clothes furniture text machine;
        sehen sieht gesehen = see saw : person sight; lesen liest gelesen = read read : text;
        suchen gesucht = look_for : thing text clothes person;
        finden gefunden = find found : thing text clothes; öffnen geöffnet = open : opening;
        essen isst gegessen = eat ate : food; trinken getrunken = drink drank : drink;
        füttern gefüttert = feed fed : animal; an|rufen angerufen = call : person;
        schreiben geschrieben = write wrote : text; tragen trägt getragen = wear wore : clothes;
        tragen trägt getragen = carry : load; streichen gestrichen = paint : wall;
        brauchen gebraucht = need : thing furniture clothes load machine;
        auf|machen aufgemacht = open : opening; besuchen besucht = visit : person sight;
        mit|bringen mitgebracht = bring brought : thing food;
        wechseln gewechselt = change : part; reparieren repariert = repair : machine;
        verkaufen verkauft = sell sold : thing furniture machine;
        treffen trifft getroffen = meet met : person; kosten gekostet = taste : food;
        vergessen vergisst vergessen = forget forgot : thing clothes;
        ein|laden lädt eingeladen = invite : person; bestellen bestellt = order : food drink;
        verlieren verloren = lose lost : thing clothes;
        ab|holen abgeholt = pick+up : person load; schließen geschlossen = close : opening;
        an|ziehen angezogen = put+on put : clothes;
        verstehen verstanden = understand understood : text person;
        putzen geputzt = clean : machine opening; besichtigen besichtigt = visit : sight;
        stehlen stiehlt gestohlen = steal stole : thing machine;
        waschen wäscht gewaschen = wash : clothes; bekommen bekommen = receive : gift text;
        benutzen benutzt = use : thing machine;
        weg|werfen wirft weggeworfen = throw+away threw : thing text;
        zurück|geben gibt zurückgegeben = give+back gave : thing text;
        aus|ziehen ausgezogen = take+off took : clothes; zu|machen zugemacht = close : opening;
        verstecken versteckt = hide hid : thing gift; heben gehoben = lift : load;
        zeichnen gezeichnet = draw drew : sight gift; verwenden verwendet = use : thing;
        vor|lesen liest vorgelesen = read+aloud read : text;
        fangen fängt gefangen = catch caught : animal;
        empfangen empfängt empfangen = receive : gift; übersetzen übersetzt = translate : text;
        auf|wecken aufgeweckt = wake+up woke : person; schälen geschält = peel : food;
        retten gerettet = rescue : animal person; umarmen umarmt = hug hugged : person""",
    # : kinds of things given to people
    "ditransitive": """
        geben gibt gegeben = give gave : thing text food; schenken geschenkt = give gave : gift;
        zeigen gezeigt = show : thing text; bringen gebracht = bring brought : thing food;
        schicken geschickt = send sent : text gift; leihen geliehen = lend lent : thing text;
        an|bieten angeboten = offer : food thing""",
    "dative": """
        helfen hilft geholfen = help : person; danken gedankt = thank : person;
        antworten geantwortet = answer : person; folgen ist gefolgt = follow : person;
        zu|hören zugehört = listen_to : person; begegnen ist begegnet = meet met : person""",
    # : German preposition, its case, kind of object
    "prepositional": """
        warten gewartet = wait_for : auf acc person; sitzen gesessen = sit_on sat : auf dat seat;
        denken gedacht = think_of thought : an acc person;
        lachen gelacht = laugh_at : über acc text;
        sprechen spricht gesprochen = talk_to : mit dat person;
        träumen geträumt = dream_of : von dat sight;
        schlafen schläft geschlafen = sleep_on slept : auf dat seat""",
    "placed": """
        arbeiten gearbeitet = work; schlafen schläft geschlafen = sleep slept;
        spielen gespielt = play; warten gewartet = wait; ein|kaufen eingekauft = go_shopping went;
        singen gesungen = sing sang; an|kommen ist angekommen = arrive; tanzen getanzt = dance;
        bleiben ist geblieben = stay; ein|schlafen schläft ist eingeschlafen = fall_asleep fell;
        weinen geweint = cry""",
    "moving": """
        gehen ist gegangen = go went; fahren fährt ist gefahren = drive drove;
        laufen läuft ist gelaufen = run ran; zurück|kehren ist zurückgekehrt = return""",
    "saying": """
        sagen gesagt = say said; glauben geglaubt = believe; hoffen gehofft = hope;
        denken gedacht = think thought; behaupten behauptet = claim""",
    "modal": "können gekonnt = can could; müssen gemusst = have_to had; wollen gewollt = want_to",
}


# The forms of ich, du, er and wir; other plural persons have that of wir, and ihr is left out.
PRESENT = {
    "sein": "bin bist ist sind",
    "haben": "habe hast hat haben",
    "können": "kann kannst kann können",
    "müssen": "muss musst muss müssen",
    "wollen": "will willst will wollen",
}


# The verbs whose past is this and not the perfect.
PRETERITE = {
    "sein": "war warst war waren",
    "können": "konnte konntest konnte konnten",
    "müssen": "musste musstest musste mussten",
    "wollen": "wollte wolltest wollte wollten",
}


TIMES = {
    "past": pairs("""
        gestern/yesterday; letzte Woche/last week; heute Morgen/this morning; am Montag/on Monday;
        gestern Abend/yesterday evening; am Samstag/on Saturday; letzten Sommer/last summer;
        vorgestern/the day before yesterday; im Mai/in May; am Sonnabend/on Saturday;
        letztes Jahr/last year; am Mittwoch/on Wednesday; eines Tages/one day"""),
    "present": pairs("""
        jeden Tag/every day; am Wochenende/at the weekend; jeden Morgen/every morning;
        abends/in the evening; im Sommer/in summer; sonntags/on Sundays; mittags/at noon"""),
    "future": pairs("""
        morgen/tomorrow; nächste Woche/next week; morgen früh/tomorrow morning;
        heute Abend/this evening; übermorgen/the day after tomorrow;
        nächsten Montag/next Monday"""),
}


MONTHS = pairs("""
    Januar/January; Februar/February; März/March; April/April; Mai/May; Juni/June; Juli/July;
    August/August; September/September; Oktober/October; November/November; Dezember/December""")


CONJUNCTIONS = {
    "past": pairs("""
        weil/because; als/when; obwohl/although; denn/because; bevor/before; während/while"""),
    "present": pairs("""
        weil/because; wenn/if; obwohl/although; denn/because; bevor/before; während/while"""),
}


CONTRACTIONS = {
    "in dem ": "im ",
    "in das ": "ins ",
    "an dem ": "am ",
    "zu dem ": "zum ",
    "zu der ": "zur ",
    "von dem ": "vom ",
}
