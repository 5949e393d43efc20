"""Why something may be revealed: a closed list of reasons, and what a case number may look like."""

import re
from typing import Final

from django.core.exceptions import ValidationError
from django.db import models

from audit.free_text import names_a_person

CASE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./_#-]{1,39}")
EXPLANATION_LENGTH: Final = 200


class Reason(models.TextChoices):
    """Codes of the trail, words of the form."""

    ACCESS_REQUEST = "access-request", "The person asks what is stored of them"
    ERASURE_REQUEST = "erasure-request", "The person asks to be erased"
    COMPLAINT = "complaint", "The person complains or asks"
    DELIVERY = "delivery", "A message did not arrive or went astray"
    OPT_OUT = "opt-out", "An opt-out that can't be matched otherwise"
    CORRECTION = "correction", "A stored value is said to be wrong"
    AUTHORITY = "authority", "Order of a court or an authority"
    INCIDENT = "incident", "Security incident"


def check_case(text: str) -> None:
    """Validator of a case number. Raises ValidationError."""
    if not CASE.fullmatch(text):
        raise ValidationError("Give the number of a case in 2 to 40 letters, digits and . / _ # - signs.")
    if names_a_person(text):
        raise ValidationError(
            "This could be somebody's phone number. Write the case with its letters: CS-2026-0815."
        )
