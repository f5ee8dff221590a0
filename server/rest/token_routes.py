"""The route about the token that asks: who it is, and what it may do."""

from flask import Response, g

from server.rest import openapi, responses
from server.rest.blueprint import make_blueprint
from server.rest.responses import respond

blueprint = make_blueprint("tokens")


@blueprint.get("/token", tags=openapi.TOKEN, responses={200: responses.TokenFacts}, openapi_extensions=openapi.VIEWER)
def token() -> Response:
    """Token: name and role of the token that the request carries."""
    return respond(responses.TokenFacts(name=g.token.name, role=g.token.role))
