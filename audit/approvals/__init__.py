"""Four-eyes: acts that a second person must approve before they are done (docs/approvals.md)."""
