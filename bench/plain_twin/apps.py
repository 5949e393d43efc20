from django.apps import AppConfig


class PlainTwinConfig(AppConfig):
    name = "bench.plain_twin"
    label = "twin"
