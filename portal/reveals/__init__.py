"""Revealing a clear value to a person: one field, for a reason, recorded before it is opened (docs/reveals.md)."""
