"""Exports: rows that leave the portal as a file, masked or approved, counted, marked, and gone after some days."""
