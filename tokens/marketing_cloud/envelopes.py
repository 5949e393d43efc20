"""SOAP envelopes: written with the standard library, read with entities and DTDs refused."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final
from xml.etree import ElementTree as ET

import defusedxml.ElementTree

_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER: Final = "http://exacttarget.com/wsdl/partnerAPI"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"
_AUTH: Final = "http://exacttarget.com"


class Fault(Enum):
    """What a SOAP fault comes to."""

    TOKEN = auto()
    SCOPE = auto()
    OTHER = auto()


def message(name: str) -> ET.Element:
    """The element of a call."""
    return ET.Element(name, {"xmlns": _PARTNER})


def add(parent: ET.Element, name: str, text: str | None = None, *, kind: str = "") -> ET.Element:
    """A child of `parent`; `kind` is its xsi:type."""
    made = ET.SubElement(parent, name, {"xsi:type": kind} if kind else {})
    made.text = text
    return made


def wrapped(content: ET.Element, token: str) -> bytes:
    """The envelope; without a token it has an empty header element, which is how it may be logged."""
    root = ET.Element("soap:Envelope", {"xmlns:soap": _ENVELOPE, "xmlns:xsi": _INSTANCE})
    header = ET.SubElement(ET.SubElement(root, "soap:Header"), "fueloauth", {"xmlns": _AUTH})
    header.text = token
    ET.SubElement(root, "soap:Body").append(content)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def content(envelope: bytes) -> ET.Element | None:
    """What stands in the body of an envelope; None when it can't be read."""
    try:
        root = defusedxml.ElementTree.fromstring(envelope)
    except (ET.ParseError, defusedxml.DefusedXmlException, ValueError):
        return None
    body = child(root, "Body")
    return None if body is None else next(iter(body), None)


def fault_in(element: ET.Element) -> Fault | None:
    """The fault that `element` is. Marketing Cloud tells faults of security apart by their words only."""
    if local(element) != "Fault":
        return None
    words = text(element, "faultstring").casefold()
    if "token expired" in words or "login failed" in words or "token is invalid" in words:
        return Fault.TOKEN
    return Fault.SCOPE if "privilege" in words or "permission" in words else Fault.OTHER


def local(element: ET.Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(parent: ET.Element, name: str) -> Iterator[ET.Element]:
    return (one for one in parent if local(one) == name)


def child(parent: ET.Element, name: str) -> ET.Element | None:
    return next(children(parent, name), None)


def text(parent: ET.Element, name: str) -> str:
    """The text of a child; "" when there is none."""
    found = child(parent, name)
    return "" if found is None else (found.text or "").strip()
