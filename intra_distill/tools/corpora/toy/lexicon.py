"""The words of the toy corpus: in every table the frequent ones first, with _ for a space."""

from typing import NamedTuple


class Pair(NamedTuple):
    """The same text in German and in English."""

    de: str
    en: str


def entries(table: str) -> list[list[str]]:
    return [entry.replace("_", " ").split(",") for entry in table.split()]


def pairs(table: str) -> list[Pair]:
    return [Pair(*entry) for entry in entries(table)]


# By kind: German, gender, German plural or its ending, English, its plural if irregular.
# Gender: w is masculine of the weak declension, p has no singular, capitals are people's. English
# plural -: plural even where the German is singular.
NOUNS = {
    "person": """Mann,M,Männer,man,men Frau,F,en,woman,women Kinder,P,,children,- Lehrer,M,,teacher
        Mädchen,N,,girl Junge,W,n,boy Arzt,M,Ärzte,doctor Lehrerin,F,nen,teacher Leiter,M,,manager
        Student,W,en,student Bauer,W,n,farmer König,M,e,king Polizist,W,en,policeman,policemen
        Zwillinge,P,,twins,- Tischler,M,,carpenter Schreiner,M,,carpenter""",
    "relative": "Mutter,F,,mother Mann,M,,husband Vater,M,,father Frau,F,,wife Eltern,P,,parents,-",
    "name": "Frau_{},F,,Mrs_{} Herr_{},W,Herrn_{},Mr_{} Anna,F,,Anna Peter,M,,Peter",
    "thing": """Schlüssel,m,,key Lampe,f,n,lamp Tasche,f,n,bag Glas,n,Gläser,glass Tisch,m,e,table
        Brille,f,n,glasses,- Messer,n,,knife,knives Löffel,m,,spoon Tasse,f,n,cup Decke,f,n,blanket
        Ball,m,Bälle,ball Stuhl,m,Stühle,chair Schere,f,n,scissors,- Bett,n,en,bed Teller,m,,plate
        Schirm,m,e,umbrella Flasche,f,n,bottle Schrank,m,Schränke,cupboard Regal,n,e,shelf,shelves
        Topf,m,Töpfe,pot Korb,m,Körbe,basket Spiegel,m,,mirror Seil,n,e,rope Sieb,n,e,sieve""",
    "clothes": """Mantel,m,Mäntel,coat Jacke,f,n,jacket Hut,m,Hüte,hat Kleid,n,er,dress
        Hemd,n,en,shirt Hose,f,n,trousers,- Schal,m,s,scarf,scarves Handschuhe,p,,gloves,-""",
    "text": "Buch,n,Bücher,book Brief,m,e,letter Zeitung,f,en,newspaper Roman,m,e,novel",
    "machine": "Auto,n,s,car Fahrrad,n,Fahrräder,bicycle Uhr,f,en,clock Boot,n,e,boat",
    "opening": "Tür,f,en,door Fenster,n,,window Schloss,n,Schlösser,lock Tor,n,e,gate",
    "food": "Apfel,m,Äpfel,apple Birne,f,n,pear Gericht,n,e,dish Brötchen,n,,roll Semmel,f,n,roll",
    "sight": "Schloss,n,Schlösser,castle Museum,n,Museen,museum Kirche,f,n,church Burg,f,en,castle",
    "gift": "Geschenk,n,e,present Strauß,m,Sträuße,bouquet Bild,n,er,picture Blume,f,n,flower",
    "animal": "Hund,m,e,dog Hahn,m,Hähne,rooster Katze,f,n,cat Strauß,m,e,ostrich Affe,w,n,monkey",
    "load": "Koffer,m,,suitcase Kiste,f,n,box Leiter,f,n,ladder Stein,m,e,stone Sack,m,Säcke,sack",
    "seat": "Bank,f,Bänke,bench Stuhl,m,Stühle,chair Sofa,n,s,sofa Boden,m,Böden,floor",
    "part": "Birne,f,n,light_bulb Hahn,m,Hähne,tap Mutter,f,n,nut Decke,f,n,ceiling",
}
MODIFIERS = pairs("""Kinder,children's Garten,garden Schul,school Küchen,kitchen Reise,travel
    Winter,winter Sommer,summer Jagd,hunting Stadt,city Sport,sports Gäste,guest Hotel,hotel
    Puppen,doll's Arbeits,work Theater,theatre Schiffs,ship's Familien,family Dorf,village
    Weihnachts,Christmas Bauern,farmer's Miet,rental Luxus,luxury Stall,stable""")
SURNAMES = "mann meier hofer bauer müller hauser berger wirt huber".split()  # after a modifier
PLACES = pairs("""im_Garten,in_the_garden in_der_Küche,in_the_kitchen am_Bahnhof,at_the_station
    in_der_Bank,at_the_bank am_See,by_the_lake am_Gericht,at_the_court an_der_See,by_the_sea""")
ADJECTIVES = {
    "person": pairs("""alt,old jung,young groß,tall nett,nice arm,poor reich,rich klug,clever
        höflich,polite freundlich,friendly neugierig,curious faul,lazy ehrgeizig,ambitious"""),
    "thing": pairs("""alt,old neu,new groß,big klein,small schön,beautiful rot,red schwarz,black
        billig,cheap grün,green hässlich,ugly weiß,white seltsam,strange winzig,tiny"""),
    # Of people and of things: they tell what a pronoun stands for.
    "mood": pairs("müde,tired krank,ill glücklich,happy traurig,sad hungrig,hungry stolz,proud"),
    "quality": pairs("teuer,expensive neu,new billig,cheap kaputt,broken schwer,heavy"),
}
# By cases and kinds of the objects: infinitive, with "|" after a separable prefix, third person
# singular, participle, after "ist" if the perfect has it, English, object at the "+", past.
VERBS = {
    "acc: thing clothes text machine": """kaufen,kauft,gekauft,buy,bought
        suchen,sucht,gesucht,look_for,looked finden,findet,gefunden,find,found
        mit|bringen,bringt,mitgebracht,bring,brought verlieren,verliert,verloren,lose,lost
        weg|werfen,wirft,weggeworfen,throw+away,threw verkaufen,verkauft,verkauft,sell,sold
        stehlen,stiehlt,gestohlen,steal,stole zurück|geben,gibt,zurückgegeben,give+back,gave""",
    "acc: person": """sehen,sieht,gesehen,see,saw treffen,trifft,getroffen,meet,met
        an|rufen,ruft,angerufen,call,called ab|holen,holt,abgeholt,pick+up,picked""",
    "dat+acc: thing text gift": """geben,gibt,gegeben,give,gave zeigen,zeigt,gezeigt,show,showed
        leihen,leiht,geliehen,lend,lent bringen,bringt,gebracht,bring,brought""",
    "dat: person": """helfen,hilft,geholfen,help,helped danken,dankt,gedankt,thank,thanked
        folgen,folgt,ist_gefolgt,follow,followed zu|hören,hört,zugehört,listen_to,listened""",
    "acc: clothes": """tragen,trägt,getragen,wear,wore waschen,wäscht,gewaschen,wash,washed
        an|ziehen,zieht,angezogen,put+on,put aus|ziehen,zieht,ausgezogen,take+off,took""",
    "acc: food": "essen,isst,gegessen,eat,ate kosten,kostet,gekostet,taste,tasted",
    "-": """arbeiten,arbeitet,gearbeitet,work,worked warten,wartet,gewartet,wait,waited
        tanzen,tanzt,getanzt,dance,danced an|kommen,kommt,ist_angekommen,arrive,arrived""",
    "acc: text": "lesen,liest,gelesen,read,read schreiben,schreibt,geschrieben,write,wrote",
    "acc: opening": "öffnen,öffnet,geöffnet,open,opened auf|machen,macht,aufgemacht,open,opened",
    "acc: load": "tragen,trägt,getragen,carry,carried heben,hebt,gehoben,lift,lifted",
    "acc: sight": "besichtigen,besichtigt,besichtigt,visit,visited sehen,sieht,gesehen,see,saw",
    "auf_acc: person": "warten,wartet,gewartet,wait_for,waited",
    "auf_dat: seat": "sitzen,sitzt,gesessen,sit_on,sat schlafen,schläft,geschlafen,sleep_on,slept",
    "acc: animal": "jagen,jagt,gejagt,chase,chased fangen,fängt,gefangen,catch,caught",
    "acc: part machine": "reparieren,repariert,repariert,repair,repaired",
}
TIMES = entries("""past,gestern,yesterday present,jeden_Tag,every_day future,morgen,tomorrow
    past,letzte_Woche,last_week present,am_Wochenende,at_the_weekend future,nächste_Woche,next_week
    past,am_Montag,on_Monday present,abends,in_the_evening future,heute_Abend,this_evening
    past,heute_Morgen,this_morning past,am_Samstag,on_Saturday past,am_Sonnabend,on_Saturday""")
CONJUNCTIONS = pairs("weil,because obwohl,although bevor,before während,while")
