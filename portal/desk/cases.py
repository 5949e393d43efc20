"""Case numbers, as forms ask for them."""

from typing import Any, Final

from django import forms
from django.core.validators import RegexValidator

from audit.free_text import no_clear_values

LOOKS: Final = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9./_-]{0,63}\Z", "Letters, digits and . / _ - only, at most 64."
)


def case_field(**options: Any) -> forms.CharField:
    """A number in another system, and never a place for a name or an address: it stands in the event trail."""
    given: dict[str, Any] = {
        "label": "Case number",
        "max_length": 64,
        "validators": [LOOKS, no_clear_values],
        "help_text": "No name and no address: it stands in the event trail.",
        "widget": forms.TextInput({"autocomplete": "off"}),
    }
    return forms.CharField(**(given | options))
