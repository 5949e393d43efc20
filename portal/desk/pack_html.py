"""An access pack as one HTML file to read and print: nothing is loaded from anywhere, and no script is in it."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from tokens.dossier.account import SECTIONS, Account

STYLE: Final = (Path(__file__).parent / "pack.css").read_text(encoding="utf-8")
# The one style sheet of the file, by its hash; the same policy stands in the file itself, for when it has been saved.
POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'"
)
# What the columns of each section are called, by their keys in JSON.
COLUMNS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "consent": (
        ("at", "Recorded"), ("what", "What"), ("from", "From what"), ("asked_at", "Asked"), ("source", "Source"),
        ("in_force", "In force"), ("evidence", "Evidence"), ("recorded_by", "Recorded by"),
    ),
    "seen_by": (("at", "When"), ("who", "Who"), ("what", "Did what"), ("details", "Details"), ("address", "From")),
    "acts": (("at", "When"), ("who", "Who"), ("what", "Did what"), ("details", "Details"), ("address", "From")),
    "records": (("at", "When"), ("what", "What"), ("name", "Which")),
    "jobs": (("at", "When"), ("job", "Job"), ("id", "Id")),
    "exchanges": (
        ("at", "When"), ("api", "Interface"), ("client", "Client"), ("address", "From"), ("outcome", "Outcome"),
        ("asked", "Asked"), ("answered", "Answered"), ("held_copy", "Held copy"), ("id", "Request id"),
    ),
}  # fmt: skip


def as_html(account: Account) -> Iterator[str]:
    """The pack in pieces; it ends with the words "End of the pack", so that half a file is known as such."""
    facts = account.facts()
    yield render_to_string(
        "desk/pack_file_head.html", {"facts": facts, "style": SafeString(STYLE), "policy": POLICY}
    )
    for key, title, kind in SECTIONS:
        columns = COLUMNS[key]
        yield _head(key, title, columns)
        count = 0
        for row in account.rows(kind):
            yield _row(row, columns)
            count += 1
        yield format_html("</tbody></table><p>{}</p></section>\n", "" if count else "Nothing is on record.")
    yield render_to_string("desk/pack_file_foot.html", {"facts": facts})


def _head(key: str, title: str, columns: tuple[tuple[str, str], ...]) -> SafeString:
    cells = format_html_join("", '<th scope="col">{}</th>', ((label,) for _, label in columns))
    return format_html(
        '<section><h2 id="{}">{}</h2><table aria-labelledby="{}"><thead><tr>{}</tr></thead><tbody>\n',
        key, title, key, cells,
    )  # fmt: skip


def _row(row: dict[str, Any], columns: tuple[tuple[str, str], ...]) -> SafeString:
    cells = format_html_join("", "<td>{}</td>", ((_plain(row[name]),) for name, _ in columns))
    return format_html("<tr>{}</tr>\n", cells)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(
            f"{name.replace('_', ' ')}: {_plain(one)}" for name, one in value.items() if one not in ("", None)
        )
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "–" if value in ("", None) else str(value)
