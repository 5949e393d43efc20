"""Days that an enterprise's calendars leave out beside their holidays."""

from django.db import models
from django.db.models.functions import Now

from tokens.models.enterprises import tenant


class ClosingDay(models.Model):
    """A day that is no business day of a calendar (tokens.consent.clocks) for one enterprise."""

    enterprise = tenant()
    calendar = models.CharField(max_length=8)
    day = models.DateField()
    reason = models.CharField(max_length=200)
    added_by_id = models.CharField(max_length=64)
    added_by_name = models.CharField(max_length=200)
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["day"]
        constraints = [
            models.UniqueConstraint(fields=["enterprise", "calendar", "day"], name="one_closing_day"),
        ]

    def __str__(self) -> str:
        return f"{self.calendar} {self.day}"
