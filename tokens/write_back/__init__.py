"""Telling Marketing Cloud of opt-outs: an outbox in PostgreSQL, worked by leases, proven by reading back."""
