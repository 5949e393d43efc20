"""The libraries that decide about addresses and numbers are exactly the ones that the tests were run with."""

from importlib.metadata import version

import idna

from tests.tokens.formats.numbering_plans import from_library, of_version_1

PHONENUMBERS = "9.0.43"
EMAIL_VALIDATOR = "2.4.0"
IDNA = "3.20"

# Country calling codes of which the installed phonenumbers knows something else than normalisation version 1,
# which was made from 9.0.43 and never changes.
KNOWN_OTHERWISE: set[str] = set()


def test_phonenumbers_is_the_pinned_version() -> None:
    # Its metadata decides which mobile tokens are invalid numbers. When you raise the pin:
    # 1. Set PHONENUMBERS here and in pyproject.toml, lock, and run tests/tokens/formats.
    # 2. If the test below turns red, read what changed in the countries that it names, and enter them in
    #    KNOWN_OTHERWISE. Version 1 keeps its own numbering plans and no row moves; but numbers of those
    #    countries may be refused, or keep a trunk prefix. If that matters, make a version 2
    #    (tokens/formats/normalise.py).
    # 3. Tokens drawn before may now be valid numbers. They keep resolving: "invalid under the pinned
    #    metadata" speaks of the day they were drawn.
    assert version("phonenumbers") == PHONENUMBERS


def test_version_1_knows_what_the_library_knows_but_for_known_differences() -> None:
    frozen, current = of_version_1(), from_library()
    different = {code for code in frozen.keys() | current.keys() if frozen.get(code) != current.get(code)}
    assert different == KNOWN_OTHERWISE


def test_email_validator_and_idna_are_the_pinned_versions() -> None:
    # Both decide what version 1 accepts, and idna into which Punycode. When you raise a pin, the vectors must
    # stay green; if one turns red, keep the old pin and make a version 2.
    assert (version("email-validator"), idna.__version__) == (EMAIL_VALIDATOR, IDNA)
