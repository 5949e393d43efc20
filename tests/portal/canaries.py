"""Values that must not be found in what a thief takes, in every spelling that a thief would try."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

HASHES = ("md5", "sha1", "sha256")


def spellings(value: str) -> Iterator[tuple[str, bytes]]:
    """(how, bytes) of a value: as it is, encoded, reversed, hashed; a number also by its last nine digits."""
    for text in dict.fromkeys((value, value.lower())):
        yield from encodings(text)
        for name in HASHES:
            digest = hashlib.new(name, text.encode()).digest()
            yield name, digest
            yield f"{name} in hex", digest.hex().encode()
            yield f"{name} in base64", base64.b64encode(digest).rstrip(b"=")
    if value.isdigit():
        yield "its last nine digits", value[-9:].encode()


def encodings(text: str) -> Iterator[tuple[str, bytes]]:
    """(how, bytes) of a text or a part of one."""
    raw = text.encode()
    yield "clear", raw
    yield "reversed", raw[::-1]
    yield "UTF-16", text.encode("utf-16-le")
    yield "hex", raw.hex().encode()
    yield "URL-encoded", quote(text, safe="").encode()
    for before in range(3):
        # What stands in the base64 of whatever holds the text: the characters that its bits alone decide.
        inner = base64.b64encode(b"\0" * before + raw)[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        yield "base64", inner


def found(
    values: Iterable[str],
    places: Mapping[str, bytes],
    spelled: Callable[[str], Iterable[tuple[str, bytes]]] = spellings,
) -> set[tuple[str, str, str]]:
    """(place, how, value) of each value that stands in the content of a place; text and hex in any case."""
    lowered = {name: content.lower() for name, content in places.items()}
    return {
        (name, how, value)
        for value in values
        for how, needle in spelled(value)
        for name, content in places.items()
        if needle in content or needle.lower() in lowered[name]
    }


def files_below(folder: Path) -> dict[str, bytes]:
    """The contents of every file of a folder, by path below it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
