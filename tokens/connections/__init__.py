"""Connections to Marketing Cloud: made, tested and put to use by people; every exchange through them is logged."""
