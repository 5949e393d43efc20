import json

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.plain_twin.models import Mapping


class AskedSerializer(serializers.Serializer):
    tokenRequestId = serializers.CharField(max_length=100)
    token = serializers.CharField(max_length=254)
    subscriberKey = serializers.CharField(max_length=254, required=False)


class BatchSerializer(serializers.Serializer):
    sendKey = serializers.CharField(required=False)
    tokens = AskedSerializer(many=True, max_length=500)


class AttributeSerializer(serializers.Serializer):
    name = serializers.CharField()
    value = serializers.CharField()


class ResolvedSerializer(serializers.Serializer):
    tokenRequestId = serializers.CharField()
    tokenValue = serializers.CharField()
    attributes = AttributeSerializer(many=True)


class UnresolvedSerializer(serializers.Serializer):
    tokenRequestId = serializers.CharField()
    message = serializers.CharField()


class AnswerSerializer(serializers.Serializer):
    resolvedTokens = ResolvedSerializer(many=True)
    unresolvedTokens = UnresolvedSerializer(many=True)


class ResolveView(APIView):
    def post(self, request: Request) -> Response:
        batch = BatchSerializer(data=request.data)
        batch.is_valid(raise_exception=True)
        asked = batch.validated_data["tokens"]
        mappings = Mapping.objects.filter(token__in=[item["token"].lower() for item in asked])
        known = {mapping.token: mapping for mapping in mappings.select_related("contact")}
        resolved, unresolved = [], []
        for item in asked:
            mapping = known.get(item["token"].lower())
            if mapping is None:
                message = "Invalid token; token does not exist."
                unresolved.append({"tokenRequestId": item["tokenRequestId"], "message": message})
                continue
            resolved.append(
                {
                    "tokenRequestId": item["tokenRequestId"],
                    "tokenValue": mapping.value,
                    "attributes": json.loads(mapping.contact.attributes),
                }
            )
        answer = {"resolvedTokens": resolved, "unresolvedTokens": unresolved}
        return Response(AnswerSerializer(answer).data)
