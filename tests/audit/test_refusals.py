"""Refusals of strangers are counted by network, cheaply, and never without limit."""

import datetime
import ipaddress
import threading
import time

import pytest
from django.db import Error, connections
from django.utils import timezone

from audit import refusals
from audit.models import Api, RefusalCount
from tests.conftest import OwnDatabase


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


@pytest.mark.parametrize(
    ("caller", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        (None, "unknown"),
    ],
)
def test_a_refusal_counts_under_its_network(db: None, caller: str | None, network: str) -> None:
    for _ in range(3):
        refusals.count(Api.RESOLVE, "unauthenticated", address(caller) if caller else None)
    counted = RefusalCount.objects.get()
    assert (counted.network, counted.count, counted.reason) == (network, 3, "unauthenticated")
    assert counted.hour.minute == counted.hour.second == 0


def test_a_full_hour_counts_the_rest_as_other(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST_ROWS", 3)
    for number in range(10):
        refusals.count(Api.RESOLVE, "unauthenticated", address(f"10.0.{number}.1"))
    refusals.count(Api.RESOLVE, "unauthenticated", address("10.0.0.1"))  # known: still counted by name
    counts = dict(RefusalCount.objects.values_list("network", "count"))
    assert counts == {"10.0.0.0/24": 2, "10.0.1.0/24": 1, "10.0.2.0/24": 1, "other": 7}


def test_concurrent_refusals_are_all_counted_or_let_go(own_database: OwnDatabase) -> None:
    counted = []

    def refuse() -> None:
        for _ in range(20):
            try:
                refusals.count(Api.RESOLVE, "unauthenticated", address("10.0.0.1"))
                counted.append(1)
            except Error:
                pass
        connections["default"].close()

    threads = [threading.Thread(target=refuse) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert RefusalCount.objects.get().count == len(counted) > 0


def test_a_locked_counter_is_let_go_within_a_moment(own_database: OwnDatabase) -> None:
    refusals.count(Api.RESOLVE, "unauthenticated", address("10.0.0.1"))
    owner = connections["owner"]
    owner.set_autocommit(False)
    try:
        with owner.cursor() as cursor:
            cursor.execute("LOCK TABLE audit_refusalcount")
            began = time.perf_counter()
            with pytest.raises(Error):
                refusals.count(Api.RESOLVE, "unauthenticated", address("10.0.0.1"))
            assert time.perf_counter() - began < 1
    finally:
        owner.rollback()
        owner.set_autocommit(True)


def test_counters_are_kept_for_three_months(own_database: OwnDatabase) -> None:
    for days in (89, 91):
        hour = timezone.now() - datetime.timedelta(days=days)
        RefusalCount.objects.create(hour=hour, api="resolve", reason="x", network=f"{days}", count=1)
    assert refusals.forget_old() == 1
    assert RefusalCount.objects.get().network == "89"
