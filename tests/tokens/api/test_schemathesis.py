"""Schemathesis reads the OpenAPI description and finds nothing: no undocumented answer, no surprise."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from portal.wsgi import application
from tests.conftest import OwnDatabase
from tests.tokens.api import cast
from tests.tokens.cast import an_enterprise
from tokens.models.clients import Scope

# The promise is 100,000 (P17); a run of everybody's is smaller.
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "30"))
OPERATIONS = [cast.RESOLVE, cast.GET, cast.OAUTH, cast.OPT_OUTS]


@pytest.fixture(scope="module")
def schema(shared_database: OwnDatabase) -> Any:
    import schemathesis  # here: it takes two seconds, which whoever only collects tests need not pay

    return schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", OPERATIONS)
def test_the_api_does_what_its_description_says(schema: Any, path: str, mode: str) -> None:
    from schemathesis.generation import GenerationMode

    enterprise = an_enterprise()
    auth = "oauth" if path == cast.OAUTH else "basic"
    caller = cast.a_caller(enterprise, auth=auth, scopes=list(Scope))
    statuses: list[int] = []
    # No call of Marketing Cloud's, and the dearest: what it shares with the others is tried there.
    examples = EXAMPLES // 3 if path == cast.OPT_OUTS else EXAMPLES

    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        deadline=None,
    )
    @given(case=schema[path]["POST"].as_strategy(generation_mode=GenerationMode(mode)))
    def call(case: Any) -> None:
        # Its WSGI transport does not unpack answers.
        headers = {"Authorization": caller.authorization, "Accept-Encoding": "identity"}
        statuses.append(case.call_and_validate(headers=headers).status_code)

    call()
    assert len(statuses) >= examples / 2
    wanted = 200 if mode == "positive" else 400
    assert wanted in statuses, statuses
