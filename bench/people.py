"""Synthetic people of the benchmark: person i is the same in every run, so the values need no file."""

import msgspec

GIVEN = (
    "Ana",
    "Björn",
    "Chloé",
    "Deniz",
    "Élodie",
    "Farid",
    "Giulia",
    "Håkon",
    "Inês",
    "Jürgen",
    "Kwame",
    "Łukasz",
)
FAMILY = (
    "Almeida",
    "Brandt",
    "Çelik",
    "Dubois",
    "Eriksen",
    "Ferrari",
    "García",
    "Haddad",
    "Ivanova",
    "Jensen",
)
CITIES = ("Aarhus", "Bremen", "Coimbra", "Dijon", "Évora", "Florence", "Göteborg", "Izmir")
ASCII = str.maketrans("öéÉåêüŁçÇí", "oeEaeuLcCi")
# Numbers that have a possible length but an area code that nobody holds.
UNASSIGNED = "1555"


def key(i: int) -> str:
    """Subscriber key of person i."""
    return f"SUB-{i:08d}"


def email(i: int) -> str:
    """Address of person i, as it was first spelled."""
    name = f"{GIVEN[i % 12]}.{FAMILY[i % 10]}".translate(ASCII)
    return f"{name}.{i}@mail{i % 37}.example"


def mobile(i: int) -> str:
    """Number of person i, E.164 digits."""
    return f"{UNASSIGNED}{i:07d}"


def attributes(i: int) -> dict[str, str]:
    """Personalisation attributes of person i."""
    return {"FirstName": GIVEN[i % 12], "LastName": FAMILY[i % 10], "City": CITIES[i % 8]}


def wire_attributes(i: int) -> bytes:
    """The attributes as Resolve sends them."""
    return msgspec.json.encode([{"name": name, "value": value} for name, value in attributes(i).items()])
