"""The OpenAPI description and its page need nothing from elsewhere and run under the strict policy."""

import re
from typing import Any

import yaml
from django.test import Client


def page(path: str) -> Any:
    response = Client().get(path)
    assert response.status_code == 200
    return response


def test_the_description_names_the_four_operations_and_both_ways_in() -> None:
    schema = yaml.safe_load(page("/api/schema/").content)
    assert {path: list(methods) for path, methods in schema["paths"].items()} == {
        "/api/v1/opt-outs": ["post"],
        "/api/v1/tokens/get": ["post"],
        "/api/v1/tokens/resolve": ["post"],
        "/oauth2/token": ["post"],
    }
    assert set(schema["components"]["securitySchemes"]) == {"basic", "oauth"}
    resolve = schema["paths"]["/api/v1/tokens/resolve"]["post"]
    assert set(resolve["responses"]) == {"200", "400", "401", "403", "405", "413", "415", "500", "503"}
    assert schema["components"]["schemas"]["ResolveRequest"]["properties"]["tokens"]["maxItems"] == 500


def test_the_page_has_no_inline_script_and_no_other_host() -> None:
    response = page("/api/docs/")
    html = response.content.decode()
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
    assert scripts
    for attributes, inside in scripts:
        assert "src=" in attributes
        assert not inside.strip()
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)
    assert "script-src 'self'" in response["Content-Security-Policy"]


def test_the_pages_script_is_a_file_of_its_own() -> None:
    [script] = re.findall(r'src="(/api/docs/\?script[^"]*)"', page("/api/docs/").content.decode())
    response = page(script)
    assert response["Content-Type"].startswith("application/javascript")
    assert b"/api/schema/" in response.content
