"""Contacts, their attributes, and which contact holds which mapping."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tokens.crypto.fields import SealedTextField
from tokens.crypto.keyset import Purpose
from tokens.models.enterprises import tenant


class Contact(models.Model):
    """A person as Marketing Cloud knows them: a subscriber key of an enterprise."""

    enterprise = tenant()
    # Marketing Cloud's key, 1 to 254 characters; never an address or a number (Enterprise.identifier_keys_allowed).
    subscriber_key = models.CharField(max_length=254, db_collation="C")
    erased_at = models.DateTimeField(null=True)
    attributes = models.ForeignKey(
        "tokens.AttributeSet", models.PROTECT, null=True, related_name="+", db_index=False
    )
    # The bulk job and line that gave the attributes, so that the highest line of a file wins in any order of chunks.
    attributes_job = models.UUIDField(null=True)
    attributes_line = models.PositiveBigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscriber_key", "enterprise"], name="one_contact_for_each_key")
        ]

    def __str__(self) -> str:
        return self.subscriber_key


class AttributeSet(models.Model):
    """An immutable version of a contact's personalisation attributes, in one envelope.

    The sealed text is the wire form that Resolve sends, `[{"name":"FirstName","value":"Ana"}]`, so that
    nothing is encoded again on the hot path and a logged body can be rebuilt byte for byte.
    """

    id = models.UUIDField(
        primary_key=True, editable=False
    )  # UUIDv7, made by the app: it is part of the place
    enterprise = tenant()
    contact = models.ForeignKey(Contact, models.PROTECT, related_name="attribute_sets", db_index=True)
    payload = SealedTextField(purpose=Purpose.ATTRIBUTES, bind=("id",), null=True)
    # Keyed, over the contact and the wire form: tells whether content differs. Goes when the payload goes.
    digest = models.BinaryField(max_length=32, null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    def __str__(self) -> str:
        return f"attributes {self.id}"


class ContactMapping(models.Model):
    """A contact holds a mapping. Links are never deleted: the payload log refers to them by id."""

    enterprise = tenant()
    mapping = models.ForeignKey("tokens.Mapping", models.PROTECT, related_name="links", db_index=False)
    contact = models.ForeignKey(Contact, models.PROTECT, related_name="links")
    is_primary = models.BooleanField(help_text="The contact that Get Token names, and Resolve without a key.")
    blocked_at = models.DateTimeField(
        null=True, help_text="Erasure of this contact began: unresolved for it."
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mapping", "contact"], name="one_link"),
            models.UniqueConstraint(
                fields=["mapping"], condition=Q(is_primary=True), name="one_primary_contact"
            ),
        ]

    def __str__(self) -> str:
        return f"link {self.id}"
