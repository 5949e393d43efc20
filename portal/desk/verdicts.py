"""What happened in an exchange, in one sentence that somebody without the manual understands."""

from dataclasses import dataclass
from typing import Final

from audit.models import Api, Direction, Outcome, PayloadEntry


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence` says what happened, `next` what follows from it; `tone` and `icon` colour it."""

    tone: str
    icon: str
    sentence: str
    next: str


# Codes of tokens.api.errors, as a reader of the log needs them: what the caller did, and what mends it.
REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "bad_request": ("the request made no sense", "The caller has to send what the API's description says."),
    "malformed_body": ("the body was not one JSON object", "The caller has to send valid JSON in UTF-8."),
    "malformed_gzip": ("the gzip body was damaged", "The caller has to send one whole gzip stream."),
    "invalid_field": ("a field was missing or had the wrong type", "The answer named the field by its path."),
    "duplicate_key": ("an object held the same key twice", "The caller has to send each key once."),
    "too_deep": ("the body was nested too deeply", "No real batch looks like this: look at who called."),
    "too_many_items": ("the batch had too many items", "Marketing Cloud sends at most 500: look at who called."),
    "malformed_credentials": ("the Authorization header was malformed", "Basic or Bearer is expected, once."),
    "unauthenticated": ("no credentials were sent", "Give the caller the credentials of an API client."),
    "invalid_credentials": ("the secret was wrong", "Check the secret in Marketing Cloud, or rotate it."),
    "invalid_token": ("the bearer token was unknown or revoked", "The caller has to get a new one at /oauth2/token."),
    "expired_token": ("the bearer token had expired", "The caller has to get a new one at /oauth2/token."),
    "wrong_auth_method": (
        "the client used the wrong way to authenticate",
        "The client was made for the other method: Basic or OAuth.",
    ),
    "client_switched_off": ("the client is switched off", "Switch it on again if it should call."),
    "bad_signature": (
        "no callback's key signed the body",
        "Compare the callbacks of the connection's page with those in Marketing Cloud.",
    ),
    "unexpected_handshake": ("nobody waited for the handshake", "Ask for events on the connection's page."),
    "address_not_allowed": (
        "the call came from an address that is not allowed",
        "Add the network to the client's list if it is Marketing Cloud's.",
    ),
    "insufficient_scope": ("the client lacks the scope for this API", "Grant the scope on the client's page."),
    "body_too_large": ("the body was too large", "No real batch is: look at who called."),
    "unsupported_media_type": ("the body was not declared as JSON", "Content-Type has to be application/json."),
    "unsupported_encoding": ("the body was packed in an unknown way", "Only gzip is understood."),
    "internal_error": ("the portal met an error of its own", "The server's log has the details under this request id."),
    "unavailable": ("the portal could not answer", "Marketing Cloud tries again by itself; look at the health page."),
}  # fmt: skip

_ITEMS: Final = {
    Api.RESOLVE: ("token", "tokens", "resolved"),
    Api.GET_TOKEN: ("value", "values", "answered with a token"),
    Api.EVENTS: ("event", "events", "stored"),
    Api.OPT_OUTS: ("opt-out", "opt-outs", "recorded"),
}


def verdict(entry: PayloadEntry) -> Verdict:
    """The sentence of an entry."""
    if entry.direction == Direction.OUTBOUND:
        return _of_ours(entry)
    who = entry.client_name or "An unknown caller"
    if entry.outcome in (Outcome.REFUSED, Outcome.FAILED):
        return _trouble(entry, who)
    if entry.api == Api.OAUTH:
        return Verdict(
            "good", "key", f"{who} got a bearer token.", "Secrets and bearer tokens are never logged."
        )
    return _answered(entry, who)


def _of_ours(entry: PayloadEntry) -> Verdict:
    """A call of the portal; what it was for stands in its user agent, and the rest in its sealed bodies."""
    what = entry.user_agent.partition("(")[2].rstrip(")")
    call = f"The portal called Marketing Cloud ({what})" if what else "The portal called Marketing Cloud"
    if entry.outcome == Outcome.COMPLETE:
        return Verdict("good", "cloud_done", f"{call} and was answered {entry.status}.", "")
    if not entry.status:
        why = entry.error.replace("_", " ")
        return Verdict(
            "bad",
            "cloud_off",
            f"{call} and got no answer: {why}.",
            "The connection's test names what to mend.",
        )
    follow = (
        "SOAP says every refusal so; the answer has the reason."
        if entry.api == Api.CLOUD_SOAP
        else "The connection's page has a test that names what to mend."
    )
    return Verdict("bad", "error", f"{call} and was answered {entry.status}.", follow)


def _trouble(entry: PayloadEntry, who: str) -> Verdict:
    reason, mend = REFUSALS.get(entry.error, (entry.error.replace("_", " ") or "no reason was recorded", ""))
    if entry.outcome == Outcome.REFUSED:
        return Verdict("bad", "block", f"{who} was refused with {entry.status}: {reason}.", mend)
    return Verdict("bad", "error", f"{who} got no answer, only {entry.status}: {reason}.", mend)


def _opt_outs(entry: PayloadEntry, who: str, things: str) -> Verdict:
    if entry.outcome == Outcome.COMPLETE:
        return Verdict("good", "unsubscribe", f"{who} sent {things}, and all are recorded.", "")
    return Verdict(
        "warn",
        "warning",
        f"{who} sent {things}. {entry.items_asked - entry.items_answered:,} could not be recorded.",
        "The answer names the reason of each: whoever runs the client mends and sends them again.",
    )


def _answered(entry: PayloadEntry, who: str) -> Verdict:
    one, many, done = _ITEMS.get(Api(entry.api), ("item", "items", "answered"))
    asked, answered = entry.items_asked, entry.items_answered
    things = f"{asked:,} {one if asked == 1 else many}"
    if entry.api == Api.EVENTS:
        told = f"{who} sent {things}." if asked else f"{who} made the handshake of a new callback."
        return Verdict(
            "good", "notifications", told, "Each event counts once, however often it is delivered."
        )
    if not asked:
        return Verdict("", "inbox", f"{who} sent an empty batch and got an empty answer.", "")
    if entry.api == Api.OPT_OUTS:
        return _opt_outs(entry, who, things)
    if entry.outcome == Outcome.COMPLETE:
        all_of = "It was" if asked == 1 else f"All {asked:,} were"
        return Verdict("good", "check_circle", f"{who} asked for {things}. {all_of} {done}.", "")
    missing = asked - answered
    follow = (
        "A message for a token that is not resolved is not sent."
        if entry.api == Api.RESOLVE
        else "Without a token Marketing Cloud tries again, and then a person has to unsubscribe by hand."
    )
    if entry.outcome == Outcome.NONE:
        none_of = "It was not" if asked == 1 else "None was"
        return Verdict("warn", "warning", f"{who} asked for {things}. {none_of} {done}.", follow)
    return Verdict(
        "warn", "warning", f"{who} asked for {things}. {answered:,} {'was' if answered == 1 else 'were'} {done}, "
        f"{missing:,} {'was' if missing == 1 else 'were'} not.", follow,
    )  # fmt: skip
