from django.urls import path

from bench.plain_twin.views import ResolveView

urlpatterns = [path("resolve", ResolveView.as_view())]
