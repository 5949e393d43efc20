"""Free text in evidence: addresses and numbers of people are told from dates, cases and networks."""

import pytest
from django.core.exceptions import ValidationError

from audit.free_text import ClearValueInText, names_a_person, no_clear_values, refuse_clear_values

OF_PEOPLE = [
    "ana@mail.example", "it is ana @ mail.example", "ana%40mail.example", "ana\uff20mail.example", "13175550100",
    "+1 317 555 0100", "call (317) 555-0100 at once", "0171/5550100", "317.555.0100", "1317-555-0100",
    "\uff11\uff13\uff11\uff17\uff15\uff15\uff15\uff10\uff11\uff10\uff10", "0043 660 123 4567", "TEL13175550100",
    "on 2026-11-22 she called from 06601234567", "131.755.501.00",
]  # fmt: skip
OF_NOBODY = [
    "", "The case is closed.", "CS-2026-0815", "case INC0012345, ticket 4711", "since 2026-11-22 05:37",
    "on 22.11.2026",
    "the network 203.0.113.0/24 and 192.168.100.200", "41,203 calls of 3 clients", "DSAR-2026-7", "Art. 15 GDPR",
    "request 0192f0c1-1234-7890-8abc-1234567890ab", "HTTP 503 at 14:05:33", "2026-11-22T05:37:00Z",
]  # fmt: skip


@pytest.mark.parametrize("text", OF_PEOPLE)
def test_what_looks_like_an_address_or_a_number_is_refused_and_not_repeated(text: str) -> None:
    assert names_a_person(text)
    with pytest.raises(ClearValueInText) as refused:
        refuse_clear_values("fine", text)
    with pytest.raises(ValidationError) as invalid:
        no_clear_values(text)
    assert text not in str(refused.value) + str(invalid.value)


@pytest.mark.parametrize("text", OF_NOBODY)
def test_what_people_write_of_cases_is_taken(text: str) -> None:
    assert not names_a_person(text)
    refuse_clear_values(text)
    no_clear_values(text)
