"""`SealedTextField`: the one encrypted field of this project, and it fails closed.

It is a child of django-encrypted-model-fields' text field in name only. The stock field swallows a wrong key
and returns the ciphertext as if it were the value, accepts plaintext that somebody planted, decrypts what is
pasted into a form, and destroys data in bulk_update. Here: what is read is opaque and opens on purpose, what is
written must be `Clear` or `Sealed`, look-ups are errors, and the stock crypter raises when anything reaches it.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

import encrypted_model_fields.fields as stock
from django.core import checks
from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import Case, Value
from django.db.models.functions import Cast
from django.db.models.query_utils import DeferredAttribute

from tokens.crypto import envelope
from tokens.crypto.errors import NotSealed
from tokens.crypto.keyring import keyring
from tokens.crypto.keyset import Purpose

MASK = "••••"


class _StockCrypterIsOff:
    def encrypt(self, data: bytes) -> NoReturn:
        raise NotSealed("the stock encrypted field is not used here")

    decrypt = encrypt


stock.CRYPTER = _StockCrypterIsOff()


class _Opaque:
    """Shows nothing of itself: text forms are a mask, and it can't be pickled, so it enters no log or cache."""

    __slots__ = ()

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __reduce__(self) -> NoReturn:
        raise NotSealed("a sealed or clear value can't be serialised")


class Clear(_Opaque):
    """A clear value on its way to be sealed."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Sealed(_Opaque):
    """A sealed value as it was read. `open()` gives the clear text, if it stands where it was sealed for."""

    __slots__ = ("_place", "enterprise_id", "envelope")

    def __init__(
        self, envelope_bytes: bytes, enterprise_id: int | None = None, place: bytes | None = None
    ) -> None:
        self.envelope = envelope_bytes
        self.enterprise_id = enterprise_id
        self._place = place

    def open(self) -> str:
        """The clear text. Raises CannotOpen, and NotSealed for a value that was read without its row."""
        if self._place is None or self.enterprise_id is None:
            raise NotSealed("read the whole row to open its sealed value")
        return keyring(self.enterprise_id).open(self.envelope, self._place).decode()


class _SealedAttribute(DeferredAttribute):
    """Binds what was read to its row, so that `row.value.open()` knows the place."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed) and instance is not None and value._place is None:
            return self.field.bound(value, instance)  # type: ignore[attr-defined]
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        # A data descriptor, so that __get__ is asked although the row's dictionary holds the value.
        instance.__dict__[self.field.attname] = value


def is_stock_encrypted_field(field: object) -> bool:
    """Whether `field` is one of the package's own, which must not stand in a model."""
    return isinstance(field, stock.EncryptedMixin) and not isinstance(field, SealedTextField)


def _is_bulk_update(value: Any) -> bool:
    """Whether `value` is what bulk_update makes of sealed values: Cast(Case(When(…, then=Value(sealed)), …))."""
    case = value.source_expressions[0] if isinstance(value, Cast) else value
    if not isinstance(case, Case):
        return False
    results = [when.result for when in case.cases] + [case.default]
    return all(isinstance(one, Value) and isinstance(one.value, Sealed | None) for one in results)


class SealedTextField(stock.EncryptedTextField):
    """Text, sealed as AES-256-GCM in a bytea column and bound to its row.

    `bind` names the fields that are the row's immutable identity; `purpose` the keyset. The model must have
    `enterprise_id`.
    """

    descriptor_class = _SealedAttribute

    def __init__(self, *args: Any, purpose: Purpose, bind: Iterable[str] = ("id",), **kwargs: Any) -> None:
        self.purpose = purpose
        self.bind = tuple(bind)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"purpose": self.purpose, "bind": self.bind}

    def db_type(self, connection: Any) -> str:
        return "bytea"

    def get_internal_type(self) -> str:
        return "BinaryField"

    # -- reading --------------------------------------------------------------------------------------------
    def from_db_value(self, value: Any, *args: Any, **kwargs: Any) -> Sealed | None:
        return None if value is None else Sealed(bytes(value))

    def to_python(self, value: Any) -> Any:
        # Text from a form or fixture could be clear, or somebody's ciphertext: neither may be guessed.
        if value is None or isinstance(value, Clear | Sealed):
            return value
        raise NotSealed

    def formfield(self, **kwargs: Any) -> None:
        """No field in a ModelForm: a page takes clear values in a form of its own and hands them to a verb."""

    def value_to_string(self, obj: Any) -> str:
        """For dumpdata: the envelope in hex, never the clear value."""
        value = self.value_from_object(obj)
        if isinstance(value, Clear):
            raise NotSealed
        return "" if value is None else str(value.envelope.hex())

    def place(self, instance: Any) -> bytes:
        """The associated data of this column in that row."""
        identity = [getattr(instance, name) for name in self.bind]
        if any(part is None for part in identity):
            raise NotSealed("the row's identity must be known before its value is sealed")
        return envelope.place(self.model._meta.label, self.column, instance.enterprise_id, *identity)

    def bound(self, value: Sealed, instance: Any) -> Sealed:
        """`value` with the place where it was read, so that it can be opened."""
        return Sealed(value.envelope, instance.enterprise_id, self.place(instance))

    # -- writing --------------------------------------------------------------------------------------------
    def pre_save(self, model_instance: Any, add: bool) -> Any:
        value = getattr(model_instance, self.attname)
        if isinstance(value, Clear):
            value = self.sealed(value, model_instance)
            setattr(model_instance, self.attname, value)
        elif isinstance(value, Sealed) and value._place != self.place(model_instance):
            raise NotSealed("it was sealed for another row")
        return value

    def sealed(self, value: Clear, instance: Any) -> Sealed:
        """`value`, sealed for this column of that row."""
        place = self.place(instance)
        sealed = keyring(instance.enterprise_id).seal(self.purpose, value.text.encode(), place)
        return Sealed(sealed, instance.enterprise_id, place)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Sealed):
            return connection.Database.Binary(value.envelope)
        if _is_bulk_update(value):
            return value
        raise NotSealed

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return self.get_db_prep_save(value, connection)

    def get_prep_value(self, value: Any) -> Any:
        return value

    # -- look-ups and checks --------------------------------------------------------------------------------
    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        raise FieldError(f"{self.name} is sealed; find rows by their blind index")

    def get_transform(self, lookup_name: str) -> NoReturn:
        raise FieldError(f"{self.name} is sealed and has no transforms")

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found: list[checks.CheckMessage] = models.Field.check(self, **kwargs)
        if self.unique or self.db_index:
            found.append(
                checks.Error("A sealed field can't be unique or indexed.", obj=self, id="tokens.E001")
            )
        return found
