"""Faults while Marketing Cloud calls: small by default, the size of the promise with FAULTS=full."""
