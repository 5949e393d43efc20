"""What `make run` prints once the portal answers: where it is, how to sign in, and a call of the API to try."""

import json
from collections.abc import Mapping
from typing import Protocol


class Sample(Protocol):
    """What `portal.sample_data.create()` answers: who can sign in, an API client, and one of its tokens."""

    @property
    def username(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def client_id(self) -> str: ...
    @property
    def client_secret(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def passwords(self) -> Mapping[str, str]: ...
    @property
    def roles(self) -> Mapping[str, str]: ...


def text(address: str, sample: Sample | None) -> str:
    """The lines to show, for the portal at `address` (`http://host:port`)."""
    lines = ["", f"Token Governance Portal is ready:  {address}/admin/"]
    if sample is not None:
        body = json.dumps({"sendKey": "trial", "tokens": [{"tokenRequestId": "1", "token": sample.token}]})
        sign_ins = {sample.username: sample.password, **sample.passwords}
        lines += [
            *(
                f"  sign in as   {name:<12} {password}   {sample.roles[name]}"
                for name, password in sign_ins.items()
            ),
            "  all but auditor set up a second factor at their first sign-in, since they see clear values or approve.",
            "  In place of an app for its codes:  .venv/bin/python manage.py sample_code admin",
            f"  API client   {sample.client_id}  secret  {sample.client_secret}",
            "  resolve a token:",
            f"    curl -u '{sample.client_id}:{sample.client_secret}' -H 'Content-Type: application/json' \\",
            f"      -d '{body}' \\",
            f"      {address}/api/v1/tokens/resolve",
        ]
    return "\n".join([*lines, "Ctrl-C ends it all.", ""])
