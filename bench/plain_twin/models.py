from django.db import models
from encrypted_model_fields.fields import EncryptedTextField


class Contact(models.Model):
    subscriber_key = models.CharField(max_length=254, unique=True)
    attributes = EncryptedTextField(default="[]")


class Mapping(models.Model):
    token = models.CharField(max_length=254, unique=True)
    value = EncryptedTextField()
    contact = models.ForeignKey(Contact, models.PROTECT, related_name="mappings")
