"""Erasing people: blocked at once, deleted in Marketing Cloud, destroyed here, verified (docs/erasure.md)."""
