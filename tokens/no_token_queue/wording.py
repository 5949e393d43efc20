"""What a message means: a keyword, or free text with a score that says why. Pure.

A keyword is the whole message and blocks without anybody. Free text is never decided here: "please cancel my order" is
the classic false hit, and the law asks for any reasonable way of saying no.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tokens.no_token_queue.keywords import ALWAYS, HARMLESS, KEYWORDS, PHRASES

LIKELY_FROM: Final = 50
_MOST: Final = 100
_DOTS: Final = "•••"
# A keyword of more than so many letters is none: nobody types a sentence as one.
LONGEST_KEYWORD: Final = 40


@dataclass(frozen=True, slots=True)
class Judgement:
    """`keyword` is the word that was the whole message, "" for free text; `reasons` hold phrases of our lists only."""

    keyword: str
    score: int
    reasons: tuple[dict[str, Any], ...]

    @property
    def is_likely(self) -> bool:
        """Whether free text probably asks to opt out."""
        return not self.keyword and self.score >= LIKELY_FROM


def keywords_of(languages: Collection[str], extra: Collection[str] = ()) -> frozenset[str]:
    """The keywords that count: those that law names, those of the languages, and an enterprise's own."""
    chosen = [word for language in languages for word in KEYWORDS.get(language, ())]
    return frozenset(squeezed(word) for word in (*ALWAYS, *chosen, *extra)) - {""}


def judge(text: str, *, keywords: Collection[str], languages: Sequence[str]) -> Judgement:
    """What `text` says, under these keywords (`keywords_of`) and languages."""
    word = squeezed(text)
    if word and len(word) <= LONGEST_KEYWORD and word in keywords:
        return Judgement(word, _MOST, ({"phrase": word, "points": _MOST, "why": "is a keyword"},))
    plain = f" {_words(text)} "
    found = {
        phrase: (points, why)
        for language in dict.fromkeys(("en", *languages))
        for phrase, points, why in PHRASES.get(language, ())
        if _stands_in(phrase, plain)
    }
    reasons = tuple(
        {"phrase": phrase, "points": points, "why": why}
        for phrase, (points, why) in sorted(found.items(), key=lambda one: -abs(one[1][0]))
    )
    return Judgement("", max(0, min(_MOST, sum(points for points, _ in found.values()))), reasons)


def squeezed(text: str) -> str:
    """`text` as keywords are compared: without case, blanks, marks and signs (`S T O P !` is `stop`)."""
    return "".join(char for char in _folded(text) if char.isalnum())


def masked_text(text: str) -> str:
    """`text` with every word hidden that is not on a list of words that name nobody; digits never show."""
    words = _folded(text).split()
    shown = []
    for word in words[:60]:
        bare = word.strip(".,;:!?\"'()[]…")
        shown.append(bare if bare in HARMLESS or _is_ours(bare) else _DOTS)
    joined = " ".join(shown) + (f" {_DOTS}" if len(words) > 60 else "")
    return re.sub(rf"{_DOTS}(?: {_DOTS})+", f"{_DOTS} {_DOTS}", joined)


def _is_ours(word: str) -> bool:
    return word in ALWAYS or any(word in words for words in KEYWORDS.values())


def _stands_in(phrase: str, plain: str) -> bool:
    """Whole words at the beginning; the end may be inflected only where the list cuts a word ("harass")."""
    words = _words(phrase)
    return f" {words} " in plain or (len(words) > 5 and " " not in words and f" {words}" in plain)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("’", "'").casefold()


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", _folded(text)))
