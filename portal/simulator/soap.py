"""The SOAP host: subscribers are read and changed, and `LogUnsubEvent` is carried out.

Which operation is meant is read from the body, not from SOAPAction, which clients write with quotes and without.
Prefixes, namespaces and the order of header and body are not minded either. Entities and DTDs are refused.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final
from xml.etree import ElementTree as ET

import defusedxml.ElementTree

from portal.simulator.auth import bearer
from portal.simulator.messages import Reply, Request
from portal.simulator.world import Subscriber, Token, World

ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
PARTNER: Final = "http://exacttarget.com/wsdl/partnerAPI"
INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
SUBSCRIBER_SETTABLE: Final = ("Active", "Unsubscribed", "Bounced", "Held")
ALREADY_UNSUBSCRIBED: Final = 401
NO_SUCH_SUBSCRIBER: Final = 400  # the meaning of 400 and of 402 to 409 is assumed
LARGEST_BATCH: Final = 2500


class Fault(Exception):
    """The call as a whole is refused: HTTP 500 with a SOAP fault."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def call(world: World, request: Request) -> Reply:
    """`POST /Service.asmx`"""
    try:
        return _envelope(200, _answer(world, request))
    except Fault as fault:
        return faulted(fault.code, str(fault))


def faulted(code: str, text: str) -> Reply:
    """A SOAP fault, which is HTTP 500."""
    fault = ET.Element("soap:Fault")
    _add(fault, "faultcode", code)
    _add(fault, "faultstring", text)
    return _envelope(500, fault)


def _answer(world: World, request: Request) -> ET.Element:
    try:
        envelope = defusedxml.ElementTree.fromstring(request.body)
    except (ET.ParseError, defusedxml.DefusedXmlException):
        raise Fault("soap:Client", "The envelope can't be read.") from None
    body = _child(envelope, "Body")
    asked = next(iter(body), None) if body is not None else None
    if asked is None:
        raise Fault("soap:Client", "The envelope has no body.")
    token = _token(world, _child(envelope, "Header"))
    operation = OPERATIONS.get(_local(asked))
    if operation is None:
        raise Fault("soap:Client", "The operation is not simulated.")
    work, scope = operation
    if scope not in token.scopes:
        raise Fault("soap:Security", "Insufficient privileges to perform this operation.")
    return work(world, token, asked)


def _token(world: World, header: ET.Element | None) -> Token:
    value = _text(header, "fueloauth") if header is not None else ""
    if not value:
        raise Fault("q0:Security", "Login Failed")
    token = bearer(world, value)
    if token is None:
        raise Fault("q0:Security", "Token Expired")
    return token


# -- Retrieve ------------------------------------------------------------------------------------------------
def _retrieve(world: World, token: Token, message: ET.Element) -> ET.Element:
    asked = _child(message, "RetrieveRequest")
    if asked is None:
        raise Fault("soap:Client", "RetrieveRequest is missing.")
    more = _text(asked, "ContinueRequest")
    if more:
        if more not in world.retrieves:
            return _retrieved("Error: The ContinueRequest is unknown.", [])
        found = world.retrieves.pop(more)
    else:
        kind = _text(asked, "ObjectType")
        if kind not in RETRIEVED:
            return _retrieved(f"Error: The object type {kind} is not simulated.", [])
        matches = _filter(_child(asked, "Filter"))
        properties = [one.text or "" for one in _children(asked, "Properties")]
        rows = RETRIEVED[kind](world, token)
        found = [{name: row.get(name) for name in properties} for row in rows if matches(row)]
    options = _child(asked, "Options")
    size = int(_text(options, "BatchSize") or LARGEST_BATCH) if options is not None else LARGEST_BATCH
    batch, rest = found[:size], found[size:]
    if not rest:
        return _retrieved("OK", batch)
    request_id = _id()
    world.retrieves[request_id] = rest
    return _retrieved("MoreDataAvailable", batch, request_id)


def _retrieved(status: str, rows: list[dict[str, Any]], request_id: str = "") -> ET.Element:
    answer = ET.Element("RetrieveResponseMsg", {"xmlns": PARTNER})
    _add(answer, "OverallStatus", status)
    _add(answer, "RequestID", request_id or _id())
    for row in rows:
        result = _add(answer, "Results", None, **{"xsi:type": "Subscriber"})
        for name, value in row.items():
            if value is not None:
                _add(result, name, str(value))
    return answer


def _subscribers(world: World, token: Token) -> list[dict[str, str]]:
    return [_row(one, token, world.eid) for one in world.subscribers.values()]


def _extensions(world: World, token: Token) -> list[dict[str, str]]:
    """Those of the unit of the token."""
    return [
        {"CustomerKey": one.key, "Name": one.key, "IsSendable": str(one.is_sendable).lower()}
        for one in world.extensions.values()
        if one.mid == token.mid
    ]


RETRIEVED: Final[dict[str, Callable[[World, Token], list[dict[str, str]]]]] = {
    "Subscriber": _subscribers,
    "DataExtension": _extensions,
}


def _row(one: Subscriber, token: Token, eid: str) -> dict[str, str]:
    """A subscriber as the unit of the token sees them: out of the enterprise is out everywhere."""
    is_out = bool({eid, token.mid} & one.unsubscribed.keys())
    status = "Unsubscribed" if is_out else one.status
    return {"SubscriberKey": one.key, "EmailAddress": one.email, "Status": status}


def _filter(part: ET.Element | None) -> Callable[[dict[str, str]], bool]:
    if part is None:
        return lambda row: True
    left, right = _child(part, "LeftOperand"), _child(part, "RightOperand")
    if left is not None and right is not None:
        one, other = _filter(left), _filter(right)
        if _text(part, "LogicalOperator").upper() == "AND":
            return lambda row: one(row) and other(row)
        return lambda row: one(row) or other(row)
    name = _text(part, "Property")
    values = [value.text or "" for value in _children(part, "Value")]
    operator = _text(part, "SimpleOperator").casefold()
    if operator not in ("equals", "in", "notequals"):
        raise Fault("soap:Client", "The filter operator is not simulated.")
    return lambda row: (row.get(name) in values) is (operator != "notequals")


# -- Create, Update, Delete ----------------------------------------------------------------------------------
def _create(world: World, token: Token, message: ET.Element) -> ET.Element:
    return _each_object("CreateResponse", message, lambda one: _write(world, token, one, must_exist=False))


def _update(world: World, token: Token, message: ET.Element) -> ET.Element:
    return _each_object("UpdateResponse", message, lambda one: _write(world, token, one, must_exist=True))


def _delete(world: World, token: Token, message: ET.Element) -> ET.Element:
    def delete(one: ET.Element) -> tuple[int, str]:
        gone = world.subscribers.pop(_text(one, "SubscriberKey"), None)
        return (0, "Subscriber deleted") if gone else (12001, "The subscriber does not exist.")

    return _each_object("DeleteResponse", message, delete)


def _write(world: World, token: Token, one: ET.Element, *, must_exist: bool) -> tuple[int, str]:
    kind = next((value for name, value in one.attrib.items() if name.endswith("}type")), "")
    if kind.rpartition(":")[2] != "Subscriber":
        return 12000, "The object type is not simulated."
    key, email, status = (_text(one, name) for name in ("SubscriberKey", "EmailAddress", "Status"))
    found = world.subscribers.get(key)
    if not key or (found is None and must_exist):
        return 12001, "The subscriber does not exist."
    if status and status not in SUBSCRIBER_SETTABLE:
        return 12002, "The status is not valid."
    if found is None:
        found = world.subscribers[key] = Subscriber(key, email)
    found.email = email or found.email
    if status == "Unsubscribed":
        found.unsubscribed.setdefault(token.mid, "")
    elif status:
        found.unsubscribed.pop(token.mid, None)
        found.status = status
    return 0, "Created Subscriber." if not must_exist else "Updated Subscriber."


def _each_object(name: str, message: ET.Element, work: Callable[[ET.Element], tuple[int, str]]) -> ET.Element:
    answer = ET.Element(name, {"xmlns": PARTNER})
    codes = []
    for number, one in enumerate(_children(message, "Objects")):
        code, text = work(one)
        codes.append(code)
        result = _add(answer, "Results")
        _add_result(result, code, text, number)
    _add(answer, "RequestID", _id())
    _add(answer, "OverallStatus", _overall(codes))
    return answer


# -- Execute -------------------------------------------------------------------------------------------------
def _execute(world: World, token: Token, message: ET.Element) -> ET.Element:
    answer = ET.Element("ExecuteResponseMsg", {"xmlns": PARTNER})
    results = []
    for asked in _children(message, "Requests"):
        if _text(asked, "Name") != "LogUnsubEvent":
            results.append((12000, "The request is not simulated."))
            continue
        clients = _child(asked, "Client")
        unit = _text(clients, "ID") if clients is not None else ""
        given = {_text(one, "Name"): _text(one, "Value") for one in _children(asked, "Parameters")}
        results.append(_log_unsub(world, given.get("ClientID") or unit or token.mid, given))
    _add(answer, "OverallStatus", _overall([code for code, _ in results]))
    _add(answer, "RequestID", _id())
    for number, (code, text) in enumerate(results):
        _add_result(_add(answer, "Results"), code, text, number)
    return answer


def _log_unsub(world: World, mid: str, given: dict[str, str]) -> tuple[int, str]:
    found = world.subscribers.get(given.get("SubscriberKey", ""))
    if found is None:
        return NO_SUCH_SUBSCRIBER, "Subscriber not found."
    if mid not in world.units:
        return 402, "ClientID is not a business unit of this account."
    if {mid, world.eid} & found.unsubscribed.keys():
        return ALREADY_UNSUBSCRIBED, "Subscriber is already unsubscribed."
    found.unsubscribed[mid] = given.get("Reason", "")
    return 0, "Event posted"


OPERATIONS: Final[dict[str, tuple[Callable[[World, Token, ET.Element], ET.Element], str]]] = {
    "RetrieveRequestMsg": (_retrieve, "list_and_subscribers_read"),
    "CreateRequest": (_create, "list_and_subscribers_write"),
    "UpdateRequest": (_update, "list_and_subscribers_write"),
    "DeleteRequest": (_delete, "list_and_subscribers_write"),
    "ExecuteRequestMsg": (_execute, "list_and_subscribers_write"),
}


# -- XML -----------------------------------------------------------------------------------------------------
def _envelope(status: int, content: ET.Element) -> Reply:
    root = ET.Element("soap:Envelope", {"xmlns:soap": ENVELOPE, "xmlns:xsi": INSTANCE})
    ET.SubElement(root, "soap:Body").append(content)
    body = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return Reply(status, body, "text/xml; charset=utf-8")


def _add(parent: ET.Element, name: str, text: str | None = None, **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, name, attributes)
    made.text = text
    return made


def _add_result(result: ET.Element, code: int, text: str, number: int) -> None:
    _add(result, "StatusCode", "Error" if code else "OK")
    _add(result, "StatusMessage", text)
    _add(result, "OrdinalID", str(number))
    _add(result, "ErrorCode", str(code))


def _overall(codes: list[int]) -> str:
    bad = sum(map(bool, codes))
    return "OK" if not bad else "Error" if bad == len(codes) else "Has Errors"


def _id() -> str:
    return secrets.token_hex(16)


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(parent: ET.Element, name: str) -> Iterator[ET.Element]:
    return (one for one in parent if _local(one) == name)


def _child(parent: ET.Element, name: str) -> ET.Element | None:
    return next(_children(parent, name), None)


def _text(parent: ET.Element, name: str) -> str:
    found = _child(parent, name)
    return (found.text or "").strip() if found is not None else ""
