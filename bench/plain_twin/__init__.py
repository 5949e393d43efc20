"""The token server as a user would write it: Django's ORM, DRF serializers, the stock encrypted field, no log.

It must not import the portal, which turns the stock field's crypter off. Choices that could go either way favour the
twin: one indexed query with a join instead of several, a bearer token that costs one query, no password hashing,
attributes in one encrypted column instead of a row each, and persistent connections.
"""
