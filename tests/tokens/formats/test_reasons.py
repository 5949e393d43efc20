"""A refusal says what to do, and survives the way from a worker."""

import pickle

import pytest

from tokens.formats.reasons import InvalidValue, Reason


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_hint_that_says_what_to_do(reason: Reason) -> None:
    assert reason.hint.endswith(".")
    assert str(InvalidValue(reason)) == f"{reason.value}: {reason.hint}"
    assert InvalidValue(reason).hint == reason.hint


def test_no_two_reasons_give_the_same_hint() -> None:
    assert len({reason.hint for reason in Reason}) == len(Reason)


def test_a_refusal_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(InvalidValue(Reason.EMAIL_DOMAIN)))  # noqa: S301
    assert again.code is Reason.EMAIL_DOMAIN
    assert str(again) == str(InvalidValue(Reason.EMAIL_DOMAIN))


def test_codes_are_never_renamed() -> None:
    assert {reason.value for reason in Reason} >= {
        "empty", "too_long", "lone_surrogate", "control_characters", "email_syntax", "email_domain",
        "phone_syntax", "phone_letters", "phone_extension", "phone_country_missing", "phone_country_unknown",
        "phone_not_possible",
    }  # fmt: skip
