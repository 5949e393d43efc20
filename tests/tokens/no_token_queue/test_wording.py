"""Keywords and scores: what blocks at once, what a person is shown and why."""

import pytest

from tokens.no_token_queue.keywords import KEYWORDS, LANGUAGES, PHRASES
from tokens.no_token_queue.wording import judge, keywords_of, masked_text

ENGLISH = keywords_of(["en"])


def english(text: str) -> tuple[str, int]:
    judged = judge(text, keywords=ENGLISH, languages=["en"])
    return judged.keyword, judged.score


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "stop",
        " Stop. ",
        "STOPALL",
        "stop all",
        "UNSUBSCRIBE",
        "cancel",
        "End",
        "QUIT!",
        "S T O P",
        "“stop”",
        "\uff33\uff34\uff2f\uff30",
        "opt-out",
    ],
)
def test_a_keyword_is_one_however_it_is_typed(text: str) -> None:
    assert english(text)[0]


@pytest.mark.parametrize(
    "text", ["please cancel my order", "stop it", "nonstop", "the end of it", "", "😀", "start"]
)
def test_what_is_more_than_a_keyword_blocks_nobody(text: str) -> None:
    assert not english(text)[0]


def test_keywords_follow_the_languages_and_those_that_law_names_hold_in_each() -> None:
    german = keywords_of(["de"], extra=["Schluss jetzt"])
    assert {"abmelden", "schlussjetzt", "stop", "unsubscribe"} <= german
    assert "baja" not in german
    assert judge("Abmelden", keywords=german, languages=["de"]).keyword == "abmelden"


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("no more of these please", "no more"),
        ("take me off your list", "take me off"),
        ("Don’t text me again", "don't text"),
        ("this is harassment, I call my lawyer", "harass"),
    ],
)
def test_free_text_that_wants_out_is_likely_and_says_why(text: str, phrase: str) -> None:
    judged = judge(text, keywords=ENGLISH, languages=["en"])
    assert judged.is_likely
    assert phrase in [reason["phrase"] for reason in judged.reasons]


@pytest.mark.parametrize(
    "text",
    [
        "please cancel my order",
        "is the bus stop near you?",
        "what time do you open",
        "don't stop sending these",
    ],
)
def test_the_classic_false_hits_are_unclear_and_not_likely(text: str) -> None:
    judged = judge(text, keywords=ENGLISH, languages=["en"])
    assert not judged.is_likely


def test_reasons_hold_phrases_of_our_lists_and_nothing_of_the_message() -> None:
    judged = judge("Jane Doe of 12 Elm Street wants no more", keywords=ENGLISH, languages=["en"])
    ours = {phrase for phrases in PHRASES.values() for phrase, *_ in phrases}
    assert {reason["phrase"] for reason in judged.reasons} <= ours


def test_a_masked_text_shows_no_name_and_no_digit() -> None:
    shown = masked_text("Please no more, Jane Doe 13175550101 jane@mail.example")
    assert shown.startswith("please no more")
    assert not {"jane", "doe", "1"} & set(shown.replace("•", " ").split())
    assert "3175" not in shown
    assert "@" not in shown


def test_every_language_that_can_be_chosen_has_keywords_and_phrases() -> None:
    assert LANGUAGES.keys() == KEYWORDS.keys() == PHRASES.keys()
