"""Retention: policies by kind of record, and the act that drops a month (docs/retention.md)."""
