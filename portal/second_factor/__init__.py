"""The second factor: who needs one, who has one, and whether it was shown just now.

django-allauth keeps the factors (`mfa.Authenticator`), knows the codes and the passkeys, and puts the second step
between password and session. What it stores is sealed by `sealing`, and every step is recorded by the verbs of
`enrolment` and `checking`.
"""

from portal.second_factor.state import (
    NEEDS_FACTOR,
    factors,
    has_one,
    is_fresh,
    is_passed,
    is_required,
    note_passed,
)

__all__ = ["NEEDS_FACTOR", "factors", "has_one", "is_fresh", "is_passed", "is_required", "note_passed"]
