"""Jobs of the maintenance process, which runs as the owner of the tables (`manage.py maintain`)."""

from collections.abc import Callable
from typing import Final

from audit import log_index, partitions, refusals
from audit.approvals import requests as approvals
from portal import erasure_ledger, retention, sealing
from tokens.api import budgets
from tokens.crypto import key_destruction, key_making
from tokens.exports import requests as exports


def clear_expired_tokens() -> None:
    """Delete bearer tokens that expired: Django OAuth Toolkit keeps them for ever otherwise."""
    from oauth2_provider.models import clear_expired

    clear_expired()


# (name, seconds between runs, job). A job that raises is logged and run again at its next turn.
Job = tuple[str, float, Callable[[], object]]
JOBS: Final[list[Job]] = [
    ("log partitions six months ahead", 3600.0, partitions.ensure),
    # Often enough that no call finds the list full: it holds about a thousand full batches.
    ("links into the index of the log", 5.0, log_index.sort_in),
    ("consent and erasures into the erasure ledger", 2.0, erasure_ledger.copy),
    ("residue keys a week ahead", 3600.0, key_making.make_day_keys_of_all),
    ("residue keys at the end of their life", 3600.0, key_destruction.destroy_expired_day_keys),
    ("residue keys of months that were dropped", 3600.0, key_destruction.destroy_day_keys_of_dropped_months),
    ("expired bearer tokens", 3600.0, clear_expired_tokens),
    ("requests for approval whose time has passed", 60.0, approvals.expire_due),
    ("exports whose time has passed", 3600.0, exports.expire),
    ("uses that no budget counts any more", 3600.0, budgets.forget_old),
    ("counters of refusals, after three months", 86_400.0, refusals.forget_old),
]

# In a thread of its own: no other job may delay a seal.
SEALING: Final[list[Job]] = [("seals", 1.0, sealing.seal)]

# In another: before a month is dropped all of it is read.
RETENTION: Final[list[Job]] = [("months that are approved to be dropped", 60.0, retention.carry_out)]
