"""Rows of data extensions over REST: read in pages, upsert, asynchronous upsert with its results."""

import secrets
from typing import Any, Final

from portal.simulator.auth import needs
from portal.simulator.messages import Refused, Reply, Request, as_json
from portal.simulator.world import DataExtension, World

LARGEST_PAGE: Final = 2500
MOST_ASYNC_ROWS: Final = 32_000
RESULTS_A_PAGE: Final = 50


def read(world: World, request: Request) -> Reply:
    """`GET /data/v1/customobjectdata/key/{key}/rowset`: a page, and a request token under which the next ones stand."""
    token = needs(world, request, "data_extensions_read")
    extension = _found(world, token.mid, request.keys["key"])
    snapshot = f"rt-{secrets.token_hex(8)}"
    world.row_snapshots[snapshot] = [_item(extension, row) for row in extension.rows.values()]
    return _page(world, request, snapshot, extension.key)


def read_on(world: World, request: Request) -> Reply:
    """`GET /data/v1/customobjectdata/token/{token}/rowset?$page=n`: a later page of the same snapshot."""
    needs(world, request, "data_extensions_read")
    if request.keys["token"] not in world.row_snapshots:
        raise Refused(404, 10005, "The request token is unknown or expired.")
    return _page(world, request, request.keys["token"], "")


def upsert(world: World, request: Request, stop_after: int | None = None) -> Reply:
    """`POST /hub/v1/dataevents/key:{key}/rowset`: rows before the first bad one are stored, later ones are not.

    `stop_after` is a fault: so many rows are written, then comes a 500.
    """
    token = needs(world, request, "data_extensions_write")
    extension = _found(world, token.mid, request.keys["key"])
    rows = request.json()
    if not isinstance(rows, list) or not rows:
        raise Refused(400, 10001, "The body must be a list of rows.")
    for number, row in enumerate(rows):
        if number == stop_after:
            raise Refused(500, 10004, "An unexpected error occurred.")
        problem = _store(extension, {**row.get("keys", {}), **row.get("values", {})}, row.get("keys", {}))
        if problem:
            raise Refused(400, 10006, f"Unable to save rows: row {number}: {problem}")
    return as_json(rows)


def upsert_later(world: World, request: Request) -> Reply:
    """`PUT /data/v1/async/dataextensions/key:{key}/rows`: every row has a result of its own."""
    token = needs(world, request, "data_extensions_write")
    extension = _found(world, token.mid, request.keys["key"])
    asked = request.json()
    items = asked.get("items") if isinstance(asked, dict) else None
    if not isinstance(items, list) or not 0 < len(items) <= MOST_ASYNC_ROWS:
        raise Refused(400, 10001, f"items must hold 1 to {MOST_ASYNC_ROWS} rows.")
    results: list[dict[str, Any]] = []
    for item in items:
        problem = _store(extension, item, item)
        code = "InvalidRow" if problem else "NoError"
        results.append({"status": "Error" if problem else "OK", "message": problem, "errorCode": code})
    request_id = secrets.token_hex(16)
    world.async_results[request_id] = results
    return as_json({"requestId": request_id, "resultMessages": []}, 202)


def status(world: World, request: Request) -> Reply:
    """`GET /data/v1/async/{id}/status`"""
    needs(world, request, "data_extensions_read")
    results = _results(world, request)
    bad = sum(result["status"] == "Error" for result in results)
    return as_json(
        {
            "status": {
                "requestId": request.keys["id"],
                "requestStatus": "Complete",
                "resultStatus": "Error" if bad == len(results) else "HasErrors" if bad else "OK",
                "hasErrors": bool(bad),
            },
            "resultMessages": [],
        }
    )


def results(world: World, request: Request) -> Reply:
    """`GET /data/v1/async/{id}/results?page=n`"""
    needs(world, request, "data_extensions_read")
    found, page = _results(world, request), request.number("page", 1)
    items = found[(page - 1) * RESULTS_A_PAGE : page * RESULTS_A_PAGE]
    return as_json({"page": page, "pageSize": RESULTS_A_PAGE, "count": len(found), "items": items})


def _found(world: World, mid: str, key: str) -> DataExtension:
    extension = world.extension(mid, key)
    if extension is None:
        raise Refused(404, 10005, "There is no data extension with this external key.")
    return extension


def _results(world: World, request: Request) -> list[dict[str, Any]]:
    found = world.async_results.get(request.keys["id"])
    if found is None:
        raise Refused(404, 10005, "There is no such request.")
    return found


def _page(world: World, request: Request, snapshot: str, key: str) -> Reply:
    rows = world.row_snapshots[snapshot]
    page, size = request.number("$page", 1), min(request.number("$pagesize", 50), LARGEST_PAGE)
    items = rows[(page - 1) * size : page * size]
    base = f"/v1/customobjectdata/token/{snapshot}/rowset?$pageSize={size}&$page="
    links = {"self": f"/v1/customobjectdata/key/{key}/rowset" if key else f"{base}{page}"}
    if page * size < len(rows):
        links["next"] = f"{base}{page + 1}"
    if page > 1:
        links["previous"] = f"{base}{page - 1}"
    answer: dict[str, Any] = {
        "links": links, "requestToken": snapshot, "pageSize": size, "page": page, "count": len(rows),
    }  # fmt: skip
    return as_json(answer | ({"items": items} if items else {}))


def _item(extension: DataExtension, row: dict[str, str]) -> dict[str, dict[str, str]]:
    keys = {name.lower(): row.get(name, "") for name in extension.primary_key}
    values = {name.lower(): text for name, text in row.items() if name not in extension.primary_key}
    return {"keys": keys, "values": values}


def _store(extension: DataExtension, cells: dict[str, Any], keyed: dict[str, Any]) -> str:
    """Write a row over what is there of it; a column that is left out keeps its value. "" or what is wrong."""
    named = {extension.name_of(column): value for column, value in cells.items()}
    if None in named:
        return "a column does not exist."
    if {extension.name_of(column) for column in keyed} < set(extension.primary_key):
        return "a column of the primary key is missing."
    texts = {str(name): "" if value is None else str(value) for name, value in named.items()}
    place = tuple(texts.get(name, "") for name in extension.primary_key)
    if not all(place):
        return "a column of the primary key is empty."
    extension.rows.setdefault(place, {}).update(texts)
    return ""
