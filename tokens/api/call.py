"""One call of the API, from its first byte on: what its log entry will say of it."""

import datetime
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from audit.models import Api, Direction, Outcome
from audit.payload_log import Exchange
from audit.trail import Actor
from tokens.api.authentication import Client
from tokens.api.caller import Address, caller_address, trusted_proxies
from tokens.api.request_ids import request_id_of

_USER_AGENT_LENGTH: Final = 200
# A name of a program is welcome in the log; a person's address or number is not, wherever it was put, and neither
# are control characters, some of which PostgreSQL would refuse.
_UNWELCOME: Final = re.compile(r"\S*@\S*|\+?\d(?:[ ()/-]{0,2}\d){6,}|[\x00-\x1f\x7f]+")


@dataclass(slots=True)
class Call:
    """What is known of a call so far. `body` is content-decoded and stays None until the client is known."""

    api: Api
    id: uuid.UUID
    at: datetime.datetime
    began: float
    address: Address | None
    user_agent: str
    client: Client | None = None
    body: bytes | None = None
    request_bytes: int = 0
    anomalies: list[tuple[int, str]] = field(default_factory=list)

    @classmethod
    def begin(cls, request: HttpRequest, api: Api) -> "Call":
        """The call that `request` makes."""
        return cls(
            api=api,
            id=request_id_of(request),
            at=timezone.now(),
            began=time.perf_counter(),
            address=caller_address(request.META, trusted_proxies(tuple(settings.TRUSTED_PROXIES))),
            user_agent=_UNWELCOME.sub("•", request.META.get("HTTP_USER_AGENT", ""))[:_USER_AGENT_LENGTH],
        )

    @property
    def proven(self) -> Client:
        """The client, in what runs only once it proved itself."""
        assert self.client is not None
        return self.client

    @property
    def actor(self) -> Actor:
        """The client, as the actor of events that its call causes."""
        return Actor(self.proven.client_id, self.proven.name, str(self.address) if self.address else None)

    def exchange(self, *, status: int, outcome: Outcome, response_bytes: int, **facts: Any) -> Exchange:
        """The facts of the entry. Its bodies are `tokens.log.recording`'s."""
        return Exchange(
            id=self.id,
            at=self.at,
            direction=Direction.INBOUND,
            api=self.api,
            status=status,
            outcome=outcome,
            enterprise_id=self.client.enterprise_id if self.client else None,
            client_id=self.client.client_id if self.client else "",
            client_name=self.client.name if self.client else "",
            remote_address=str(self.address) if self.address else None,
            duration_us=round((time.perf_counter() - self.began) * 1e6),
            request_bytes=self.request_bytes,
            response_bytes=response_bytes,
            user_agent=self.user_agent,
            anomalies=self.anomalies,
            **facts,
        )
