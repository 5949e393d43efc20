"""Ready-made calls for one client, with a placeholder where its secret belongs."""

from dataclasses import dataclass
from typing import Final

from tokens.models import ApiClient
from tokens.models.clients import AuthMethod, Scope

_GET: Final = '{"tokenValues":[{"tokenRequestId":"t1","tokenValue":"ana@mail.example","tokenType":"Email"}]}'
_OPT_OUTS: Final = (
    '{"optOuts":[{"optOutId":"t1","value":"ana@mail.example","valueType":"Email",'
    '"occurredAt":"2026-01-31T09:30:00Z"}]}'
)
_RESOLVE: Final = '{"sendKey":"try","tokens":[{"tokenRequestId":"t1","token":"PUT-A-TOKEN-HERE"}]}'


@dataclass(frozen=True, slots=True)
class QuickStart:
    """A call that can be pasted into a shell."""

    key: str
    title: str
    text: str


def quick_starts(client: ApiClient, base: str) -> list[QuickStart]:
    """The calls that the client's scopes allow, in the order in which one tries them."""
    calls = [
        QuickStart("secret", "First, the secret, so that it stays out of the history", "read -rs SECRET")
    ]
    credentials = f'-u "{client.client_id}:$SECRET"'
    if client.auth == AuthMethod.OAUTH:
        token = (
            f'TOKEN=$(curl -sS {credentials} "{base}/oauth2/token" \\\n  -d grant_type=client_credentials '
            "| python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')"
        )
        calls.append(QuickStart("bearer", "A bearer token", token))
        credentials = '-H "Authorization: Bearer $TOKEN"'
    if Scope.GET in client.scopes:
        calls.append(
            QuickStart(
                "get",
                "Get Token: a clear value in, its token out",
                _curl(credentials, base, "tokens/get", _GET),
            )
        )
    if Scope.RESOLVE in client.scopes:
        calls.append(
            QuickStart(
                "resolve",
                "Resolve: a token in, its clear value out",
                _curl(credentials, base, "tokens/resolve", _RESOLVE),
            )
        )
    if Scope.OPT_OUT in client.scopes:
        title = "Opt-outs: who asked for no more of it"
        calls.append(QuickStart("opt-outs", title, _curl(credentials, base, "opt-outs", _OPT_OUTS)))
    return calls


def _curl(credentials: str, base: str, path: str, body: str) -> str:
    return (
        f'curl -sS {credentials} "{base}/api/v1/{path}" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )
