"""`make bench`: measures floor, portal and twin, prints each figure with its target, and fails when one is missed."""

import argparse
import base64
import contextlib
import json
import os
import signal
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator

from bench import bulk, fixture, floor, load, opt_outs, seals, servers, setup, timeline, workload
from bench.fixture import Fixture
from bench.report import Report, Target
from bench.rounds import Rounds, Subject
from bench.servers import Server
from bench.workload import BATCH, Workload
from portal.embedded import Urls

CONNECTIONS = 50


def arguments() -> argparse.Namespace:
    """Options; the environment gives the sizes, so that `BENCH_ROWS=1000000 make bench` works."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=int(os.environ.get("BENCH_ROWS", "1000000")), help="mappings"
    )
    parser.add_argument(
        "--bulk-rows",
        type=int,
        default=int(os.environ.get("BENCH_BULK_ROWS", "100000")),
        help="lines converted",
    )
    parser.add_argument(
        "--opt-outs",
        type=int,
        default=int(os.environ.get("BENCH_OPT_OUTS", "50000")),
        help="opt-outs imported",
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the median counts")
    parser.add_argument("--seconds", type=float, default=5, help="length of one measurement")
    parser.add_argument(
        "--seal-leaves",
        type=int,
        default=int(os.environ.get("BENCH_SEAL_LEAVES", "1000000")),
        help="entries of the log that is verified",
    )
    parser.add_argument(
        "--timeline-entries",
        type=int,
        default=100_000,
        help="entries of the log that timelines are read from",
    )
    parser.add_argument(
        "--only", choices=["api", "bulk", "optouts", "seals", "timeline"], help="measure one of them"
    )
    parser.add_argument("--fresh", action="store_true", help="load the rows again")
    return parser.parse_args()


def main() -> int:
    # As Ctrl-C does: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    options, report = arguments(), Report()
    kept = fixture.stored()
    if options.fresh or kept is None or kept.rows != options.rows:
        fixture.discard()
    with fixture.servers() as urls:
        setup.django_up()
        found = setup.prepare(options.rows, urls, print)
        if options.only in {None, "api"}:
            measure_api(report, found, urls, options)
        if options.only in {None, "bulk"}:
            bulk.measure(report, found, urls, options.bulk_rows)
        if options.only in {None, "optouts"}:
            opt_outs.measure(report, found, urls, options.opt_outs)
        if options.only in {None, "seals"}:
            seals.measure(
                report,
                found,
                urls,
                seconds=options.seconds,
                rounds=options.rounds,
                leaves=options.seal_leaves,
            )
        if options.only in {None, "timeline"}:
            timeline.measure(report, found, urls, options.timeline_entries)
    return verdict(report, vars(options))


def verdict(report: Report, options: dict[str, object]) -> int:
    """Exit code of the run."""
    print(f"\nKept in {report.save(options)}")
    for row in report.missed:
        print(
            f"MISSED: {row.name} is {row.figure:,.2f} {row.unit}, the target is {row.target}", file=sys.stderr
        )
    return 1 if report.missed else 0


def measure_api(report: Report, found: Fixture, urls: Urls, options: argparse.Namespace) -> None:
    """Resolve and Get Token: floor, portal and twin, round by round."""
    work = workload.draw(found, urls.admin, batches=200, seed=2)
    with (
        floor.process(urls.app, setup.floor_keys(found)) as floor_call,
        portal_server(urls) as portal,
        twin_server(found, urls) as twin,
    ):
        rounds = Rounds(floor_call, work)
        subjects = make_subjects(found, work, portal, twin)
        rounds.warm_up(list(subjects.values()), options.seconds)
        for number in range(options.rounds):
            one_round(rounds, subjects, found, number, options.seconds)
    print_api(report, rounds, found)


@contextlib.contextmanager
def portal_server(urls: Urls) -> Iterator[Server]:
    """The portal's web server over the benchmark's database, with its maintenance process, whose backend counts too."""
    port = servers.free_port()
    environment = os.environ | {"ALLOWED_HOSTS": "127.0.0.1"}
    command = servers.portal_command(port)
    with (
        servers.maintained(environment),
        servers.running(
            command, port, environment, database="portal", admin_url=urls.admin, log_name="portal"
        ) as server,
    ):
        yield server


@contextlib.contextmanager
def twin_server(found: Fixture, urls: Urls) -> Iterator[Server]:
    """The twin's, in the same size."""
    from django.conf import settings

    port = servers.free_port()
    command = servers.twin_command(port, settings.WEB_WORKERS, settings.WEB_THREADS)
    environment = setup.twin_environment(found, urls)
    with servers.running(
        command, port, environment, database=setup.TWIN_DATABASE, admin_url=urls.admin, log_name="twin"
    ) as server:
        yield server


def make_subjects(found: Fixture, work: Workload, portal: Server, twin: Server) -> dict[str, Subject]:
    """What is asked of whom."""
    basic, bearer = basic_header(found), bearer_header(found, portal)
    path = workload.RESOLVE_PATH
    return {
        "basic": Subject(portal, work.resolve_over_http(path, basic), load.resolved_items),
        "bearer": Subject(portal, work.resolve_over_http(path, bearer), load.resolved_items),
        "known": Subject(portal, work.known_over_http(basic), load.token_items),
        "twin": Subject(
            twin, work.resolve_over_http(workload.TWIN_PATH, f"Token {found.twin_token}"), load.resolved_items
        ),
    }


def basic_header(found: Fixture) -> str:
    """Authorization of the Basic client."""
    return "Basic " + base64.b64encode(":".join(found.basic).encode()).decode()


def bearer_header(found: Fixture, portal: Server) -> str:
    """Authorization of the OAuth client, with a fresh bearer token."""
    client_id, secret = found.oauth
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    url = f"http://127.0.0.1:{portal.port}/oauth2/token"
    with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=30) as answer:
        return f"Bearer {json.load(answer)['access_token']}"


def one_round(
    rounds: Rounds, subjects: dict[str, Subject], found: Fixture, number: int, seconds: float
) -> None:
    """Every figure once, floor and portal next to each other."""
    work = rounds.workload
    rounds.floor_round("resolve", "resolve", work.resolve_for_floor())
    for name in ("basic", "bearer", "twin"):
        rounds.round_of(f"{name}, 50", subjects[name], connections=CONNECTIONS, seconds=seconds)
    for name in ("basic", "twin"):
        rounds.round_of(f"{name}, 1", subjects[name], connections=1, seconds=seconds / 2)
    rounds.floor_round("known", "get_tokens", work.known_for_floor()[:100])
    rounds.round_of("known", subjects["known"], connections=CONNECTIONS, seconds=seconds)
    serial, batches = f"{os.getpid()}.{number}", 30
    rounds.floor_round("new", "get_tokens", workload.new_values(batches, f"floor.{serial}"))
    prepared = workload.new_over_http(workload.new_values(batches, serial), basic_header(found))
    new = Subject(subjects["basic"].server, prepared, load.any_token_items)
    rounds.round_of("new", new, connections=4, seconds=60, once=True)


def print_api(report: Report, rounds: Rounds, found: Fixture) -> None:
    """The rows, and what was measured beside them."""
    floor_ms, measured = rounds.floor_ms, rounds.measured
    basic, twin = measured["basic, 50"], measured["twin, 50"]
    report.title(
        f"Resolve, {found.rows:,} mappings: CPU of a batch of {BATCH}, web processes and their backends"
    )
    report.add("floor", "ms", floor_ms["resolve"])
    report.add("portal, Basic, 50 connections", "ms", basic.cpu_ms)
    report.add("  of which web processes", "ms", basic.web_ms)
    report.add("portal, Bearer, 50 connections", "ms", measured["bearer, 50"].cpu_ms)
    report.add("portal, Basic, 1 connection", "ms", measured["basic, 1"].cpu_ms)
    report.add("plain-Django twin, 50 connections", "ms", twin.cpu_ms)
    report.add("plain-Django twin, 1 connection", "ms", measured["twin, 1"].cpu_ms)
    at_most_twice, at_most_half = Target(at_most=2.0), Target(at_most=0.5)
    for name in ("basic", "bearer"):
        ratios = rounds.ratios(measured[f"{name}, 50"].cpu_ms, floor_ms["resolve"])
        report.add(f"portal / floor, {name}", "×", ratios, at_most_twice)
    report.add("portal / twin", "×", rounds.ratios(basic.cpu_ms, twin.cpu_ms), at_most_half)
    report.title(f"Resolve, {CONNECTIONS} connections × {BATCH} tokens, keep-alive, closed loop")
    report.add("tokens a second, Basic", "", basic.items_per_second, Target(at_least=30_000))
    report.add(
        "tokens a second, Bearer", "", measured["bearer, 50"].items_per_second, Target(at_least=30_000)
    )
    report.add("  had no other program taken CPU", "", basic.unhindered())
    report.add("  CPU that other programs took", "%", [100 * taken for taken in basic.taken])
    report.add("requests a second, Basic", "", [rate / BATCH for rate in basic.items_per_second])
    for name in ("p50", "p95", "p99"):
        report.add(f"{name}, Basic", "ms", getattr(basic, name))
    report.add("tokens a second, plain-Django twin", "", twin.items_per_second)
    report.add("CPU of the load client, of one core", "", basic.client_cpu)
    report.title(f"Get Token: CPU of a batch of {BATCH}")
    for name, words in (("known", "known values"), ("new", "new values")):
        report.add(f"floor, {words}", "ms", floor_ms[name])
        report.add(f"portal, {words}", "ms", measured[name].cpu_ms)
        report.add(f"portal / floor, {words}", "×", rounds.ratios(measured[name].cpu_ms, floor_ms[name]))
    report.title("Answers")
    faults = [fault for one in measured.values() for fault in one.faults]
    report.add("answers checked", "", [float(sum(one.requests for one in measured.values()))])
    report.add("not 200, or not what is known", "", [float(len(faults))], Target(at_most=0))
    for fault in sorted(set(faults))[:10]:
        print(f"    {fault}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
