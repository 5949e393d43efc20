"""Until when: the laws with their terms, the holidays that are left out, and the closing days of an enterprise."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from portal.desk.visit import Visit
from portal.roles import Permission
from tokens.consent import clocks, closing_days
from tokens.errors import BadStep
from tokens.models import ClosingDay, Enterprise

HOLIDAYS_SHOWN: Final = 4


class ClosingDayForm(forms.Form):
    """A day that is no business day."""

    enterprise = forms.ModelChoiceField(Enterprise.objects.none(), empty_label="choose …")
    calendar = forms.ChoiceField(choices=list(clocks.CALENDARS.items()))
    day = forms.DateField(widget=forms.DateInput({"type": "date"}), help_text="A day that lies ahead.")
    reason = forms.CharField(
        max_length=200,
        help_text="Which office is closed, and by what rule. Everybody with this page reads it.",
    )

    def __init__(self, *args: Any, enterprises: list[Enterprise], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fields: dict[str, Any] = self.fields
        fields["enterprise"].queryset = Enterprise.objects.filter(pk__in=[one.pk for one in enterprises])
        if len(enterprises) == 1:
            fields["enterprise"].initial = enterprises[0]
            fields["enterprise"].widget = forms.HiddenInput()


def terms(request: HttpRequest, visit: Visit) -> HttpResponse:
    """GET /admin/unsubscribes/terms/"""
    return _page(request, visit, ClosingDayForm(enterprises=_own(visit)))


def add_closing_day(request: HttpRequest, visit: Visit) -> HttpResponse:
    """POST /admin/unsubscribes/terms/add/"""
    form = ClosingDayForm(request.POST, enterprises=_own(visit))
    if form.is_valid():
        try:
            made = closing_days.add(**form.cleaned_data, actor=visit.actor)
        except BadStep as error:
            form.add_error("day", str(error))
        else:
            calendar = clocks.CALENDARS[made.calendar]
            messages.success(request, f"{made.day} is no business day of {calendar} from now on.")
            return redirect("admin:terms")
    return _page(request, visit, form)


def remove_closing_day(request: HttpRequest, visit: Visit, day_id: int) -> HttpResponse:
    """POST /admin/unsubscribes/terms/<id>/remove/"""
    found = ClosingDay.objects.filter(pk=day_id, enterprise__in=visit.enterprise_ids).first()
    if found is None:
        raise Http404
    try:
        closing_days.remove(found, actor=visit.actor)
    except BadStep as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{found.day} is a business day again.")
    return redirect("admin:terms")


def _page(request: HttpRequest, visit: Visit, form: ClosingDayForm) -> HttpResponse:
    today = timezone.now().date()
    context = {
        "title": "Terms and closing days",
        "laws": [(law, clocks.CALENDARS[law.calendar]) for law in clocks.LAWS],
        "calendars": [
            (label, clocks.next_holidays(calendar, today, HOLIDAYS_SHOWN))
            for calendar, label in clocks.CALENDARS.items()
        ],
        "closing_days": [
            (one, clocks.CALENDARS.get(one.calendar, one.calendar), one.day > today)
            for one in ClosingDay.objects.filter(enterprise__in=visit.enterprise_ids).order_by("-day")[:200]
        ],
        "enterprises": {enterprise.pk: enterprise for enterprise in visit.enterprises},
        "form": form,
        "may_change": visit.may(Permission.UNSUBSCRIBE),
    }
    return render(request, "desk/terms.html", context)


def _own(visit: Visit) -> list[Enterprise]:
    return [one for one in visit.enterprises if visit.may(Permission.UNSUBSCRIBE, one.pk)]
