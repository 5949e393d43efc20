"""Exit codes of every command. One that a caller does not know counts as failure."""

from typing import Final

DONE: Final = 0
UNEXPECTED: Final = 1
USAGE: Final = 2
FINISHED_WITH_REJECTS: Final = 3
RETRY_IS_SAFE: Final = 5
FIX_THE_DATA: Final = 6
APPROVAL_NEEDED: Final = 7
RECONCILIATION_MISMATCH: Final = 8
INTERRUPTED: Final = 130
