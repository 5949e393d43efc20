"""Seals: log entries and events as leaves of one RFC 6962 tree, with signed checkpoints (decision 7)."""
