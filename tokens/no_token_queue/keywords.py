"""Words that people opt out with, by language. Data: add a language here, and its vector to the tests.

`KEYWORDS` block at once when they are the whole message. English ones are those that the carriers' rules and the FCC's
list (47 CFR 64.1200(a)(10)) name, so they hold for every enterprise, whatever its languages.
`PHRASES` are evidence in free text: (phrase, points, what it suggests). Points against an opt-out are negative.
"""

from typing import Final

ALWAYS: Final = (
    "stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout",
)  # fmt: skip

KEYWORDS: Final[dict[str, tuple[str, ...]]] = {
    "en": ALWAYS,
    "de": ("stopp", "abmelden", "abbestellen", "austragen", "kündigen"),
    "fr": ("arret", "arrêt", "arreter", "arrêter", "desabonner", "désabonner", "desinscrire", "désinscrire"),
    "es": ("alto", "baja", "cancelar", "parar", "detener", "desuscribir"),
    "it": ("basta", "annulla", "cancellami", "disiscrivi", "disiscrivimi"),
    "pt": ("parar", "pare", "sair", "cancelar", "remover"),
    "nl": ("stoppen", "afmelden", "uitschrijven"),
}

LANGUAGES: Final = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch",
}  # fmt: skip

Phrase = tuple[str, int, str]
AGAINST: Final = "speaks of something else"
ASKS: Final = "asks to end it"
WISHES: Final = "wants no more of it"
REMOVES: Final = "asks to be removed"
ANGRY: Final = "complains"

PHRASES: Final[dict[str, tuple[Phrase, ...]]] = {
    "en": (
        ("stop", 45, ASKS), ("unsubscribe", 60, ASKS), ("opt out", 60, ASKS), ("opt me out", 60, ASKS),
        ("cancel", 30, ASKS), ("quit", 25, ASKS), ("end", 15, ASKS), ("revoke", 40, ASKS), ("no more", 55, WISHES),
        ("don't text", 60, WISHES), ("dont text", 60, WISHES), ("do not text", 60, WISHES),
        ("do not contact", 60, WISHES), ("don't contact", 60, WISHES), ("not interested", 40, WISHES),
        ("leave me alone", 60, WISHES), ("stop texting", 30, ASKS), ("stop sending", 30, ASKS),
        ("remove me", 60, REMOVES), ("take me off", 60, REMOVES), ("remove my number", 60, REMOVES),
        ("delete my number", 60, REMOVES), ("wrong number", 50, REMOVES), ("spam", 35, ANGRY),
        ("harass", 40, ANGRY), ("lawyer", 30, ANGRY), ("report you", 30, ANGRY), ("messages", 5, WISHES),
        ("order", -35, AGAINST), ("appointment", -35, AGAINST), ("booking", -35, AGAINST),
        ("reservation", -35, AGAINST), ("delivery", -30, AGAINST), ("bus stop", -45, AGAINST),
        ("don't stop", -50, AGAINST), ("dont stop", -50, AGAINST), ("refund", -20, AGAINST),
        ("start", -25, "an opt-in keyword: an import never opts anybody in"),
    ),
    "de": (
        ("stopp", 45, ASKS), ("abmelden", 60, ASKS), ("abbestellen", 60, ASKS), ("kündigen", 30, ASKS),
        ("keine nachrichten", 60, WISHES), ("keine sms", 60, WISHES), ("keine werbung", 60, WISHES),
        ("nicht mehr", 40, WISHES), ("kein interesse", 40, WISHES), ("in ruhe", 50, WISHES),
        ("löschen sie", 45, REMOVES), ("meine nummer", 25, REMOVES), ("falsche nummer", 50, REMOVES),
        ("anwalt", 30, ANGRY), ("belästig", 40, ANGRY), ("bestellung", -35, AGAINST), ("termin", -35, AGAINST),
        ("lieferung", -30, AGAINST),
    ),
    "fr": (
        ("arrêt", 40, ASKS), ("arret", 40, ASKS), ("désabonn", 60, ASKS), ("desabonn", 60, ASKS),
        ("désinscri", 60, ASKS), ("ne plus recevoir", 60, WISHES), ("plus de messages", 55, WISHES),
        ("plus de sms", 55, WISHES), ("retirez", 50, REMOVES), ("supprimez", 45, REMOVES),
        ("mauvais numéro", 50, REMOVES), ("pas intéress", 40, WISHES), ("harcèl", 40, ANGRY),
        ("commande", -35, AGAINST), ("rendez-vous", -35, AGAINST), ("livraison", -30, AGAINST),
    ),
    "es": (
        ("baja", 45, ASKS), ("cancelar", 30, ASKS), ("no más", 55, WISHES), ("no mas", 55, WISHES),
        ("no quiero", 45, WISHES), ("dejen de", 55, WISHES), ("deje de", 55, WISHES), ("no me escriban", 60, WISHES),
        ("quítenme", 60, REMOVES), ("quitenme", 60, REMOVES), ("borren", 45, REMOVES),
        ("número equivocado", 50, REMOVES), ("pedido", -35, AGAINST), ("cita", -30, AGAINST),
        ("entrega", -30, AGAINST),
    ),
    "it": (
        ("basta", 45, WISHES), ("disiscri", 60, ASKS), ("non voglio", 45, WISHES), ("non scrivete", 60, WISHES),
        ("cancellate", 40, REMOVES), ("numero sbagliato", 50, REMOVES), ("ordine", -35, AGAINST),
        ("appuntamento", -35, AGAINST), ("consegna", -30, AGAINST),
    ),
    "pt": (
        ("sair", 40, ASKS), ("cancelar", 30, ASKS), ("não quero", 45, WISHES), ("nao quero", 45, WISHES),
        ("parem de", 55, WISHES), ("remova", 50, REMOVES), ("número errado", 50, REMOVES),
        ("pedido", -35, AGAINST), ("consulta", -30, AGAINST), ("entrega", -30, AGAINST),
    ),
    "nl": (
        ("afmelden", 60, ASKS), ("uitschrijven", 60, ASKS), ("geen berichten", 60, WISHES), ("geen sms", 60, WISHES),
        ("niet meer", 40, WISHES), ("verwijder", 50, REMOVES), ("verkeerd nummer", 50, REMOVES),
        ("bestelling", -35, AGAINST), ("afspraak", -35, AGAINST), ("levering", -30, AGAINST),
    ),
}  # fmt: skip

# Words that name nobody. In a masked text these are shown, and every other word is dots.
_HARMLESS: Final = """
    a all am an and any are at be been by can do don't dont for from get getting have i i'm if im in is it it's its me
    messages message more my never no not number of off on or our out please pls sms so spam stop text texting texts
    thank thanks that the them this to u unsubscribe us want what when who why will with wrong you your
    ab aber als an auf bitte das die der ein eine es für haben ich in ist kein keine mehr meine mich mir mit nachricht
    nachrichten nicht nie noch nummer oder sie sms und von was werbung wie wir wird zu
    au aux avec ce de des du en est et je la le les ma mes merci message messages moi mon ne non pas plus pour que qui
    s'il sur un une vous
    con de del el en es favor la las los me mensaje mensajes mi más mas no para por que quiero un una y
    al che con da di e gli i il in la le mi mio non per più un una voglio
    com da de do e em eu mais me mensagens meu não nao o os para por quero um uma
    aan de een en geen het ik in is mij mijn niet meer nummer op te van voor wil
"""
HARMLESS: Final = frozenset(_HARMLESS.split())
