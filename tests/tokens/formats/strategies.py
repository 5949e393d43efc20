"""Texts to try normalisation with: ordinary, odd and hostile."""

import phonenumbers
from hypothesis import strategies as st

ANYTHING = st.text(st.characters(), max_size=60) | st.text(st.characters(exclude_categories=()), max_size=60)
"""Any characters at all, lone surrogates and NUL included."""

_ODD = (
    "@.-_+\"'\\<>()[],;: \t\n\x00\u00a0\u200b\u200d"
    "\u202e\ufeff\u0301\u0345\u0131İßẞςΣ\u03c3KÅéÉ字😀\uff10\uff0e\uff20\ud800"
)
_WORD = st.text("abcxyzABCXYZ019-_+'", min_size=1, max_size=8) | st.text(
    st.characters(), min_size=1, max_size=4
)
_LABEL = st.text("abcxyzABCXYZ019-", min_size=1, max_size=8) | st.sampled_from(
    [
        "xn--bcher-kva",
        "bücher",
        "straße",
        "XN--A",
        "ab--c",
        "中文",
        "مثال",
        "a" * 63,
        "a" * 64,
        "localhost",
        "1",
    ]
)
_TOP = st.sampled_from(
    ["example", "TEST", "com", "local", "onion", "arpa", "invalid", "localhost", "c0", "x-", "рф"]
)

ADDRESSES = st.one_of(
    st.emails(),
    st.builds(
        "{}{}@{}.{}{}".format,
        st.sampled_from(["", "", " ", "\t", "\u3000"]),
        st.lists(_WORD, min_size=1, max_size=3).map(".".join),
        st.lists(_LABEL, min_size=1, max_size=3).map(".".join),
        _TOP,
        st.sampled_from(["", "", " ", "\n", "."]),
    ),
    st.text("ab@.-A\u0130\u00df" + _ODD, max_size=20),
)
"""Text that is an address, or is about to be one."""

CALLING_CODES = st.sampled_from([str(code) for code in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)])

DIGITS = st.builds(
    "{}{}{}".format,
    CALLING_CODES | st.sampled_from(["", "999", "210", "0", "00"]),
    st.sampled_from(["", "", "0", "00", "1", "8", "06", "9", "15", "0015"]),
    st.text("0123456789", min_size=1, max_size=14),
)
"""Digits that mostly begin with a calling code, often followed by what may be a trunk prefix."""

NUMBERS = st.one_of(
    DIGITS,
    st.builds("+{}".format, DIGITS),
    st.lists(st.sampled_from(list("0123456789" * 3 + " -.()/+x#٣३３\uff0b\u2011\u202a")), max_size=24).map(
        "".join
    ),
)
"""Text that is a telephone number, or is about to be one."""
