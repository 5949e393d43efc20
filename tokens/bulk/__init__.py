"""Bulk conversion: files of clear values become files of tokens, in chunks that survive any crash (docs/bulk.md)."""
