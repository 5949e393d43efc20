"""Retrieve of the SOAP API: objects of one type by a simple filter, batch after batch."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from tokens.marketing_cloud import envelopes
from tokens.marketing_cloud.caller import Caller
from tokens.marketing_cloud.errors import ObjectRefused


def retrieve(
    caller: Caller, kind: str, properties: Sequence[str], wanted: tuple[str, Sequence[str]], *, scope: str
) -> Iterator[Element]:
    """The results whose property `wanted[0]` is one of `wanted[1]`. Raises ObjectRefused."""
    message = _first(kind, properties, *wanted)
    while True:
        answer = caller.soap("Retrieve", "Retrieve", message, scope=scope)
        overall = envelopes.text(answer, "OverallStatus")
        if overall not in ("OK", "MoreDataAvailable"):
            raise ObjectRefused("SOAP Retrieve", 0)
        yield from envelopes.children(answer, "Results")
        if overall == "OK":
            return
        message = envelopes.message("RetrieveRequestMsg")
        more = envelopes.add(message, "RetrieveRequest")
        envelopes.add(more, "ContinueRequest", envelopes.text(answer, "RequestID"))


def _first(kind: str, properties: Sequence[str], name: str, values: Sequence[str]) -> Element:
    message = envelopes.message("RetrieveRequestMsg")
    request = envelopes.add(message, "RetrieveRequest")
    envelopes.add(request, "ObjectType", kind)
    for one in properties:
        envelopes.add(request, "Properties", one)
    part = envelopes.add(request, "Filter", kind="SimpleFilterPart")
    envelopes.add(part, "Property", name)
    envelopes.add(part, "SimpleOperator", "equals" if len(values) == 1 else "IN")
    for value in values:
        envelopes.add(part, "Value", value)
    return message
