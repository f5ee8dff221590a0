"""The REST API on Flask: routes, parameters, responses, plots."""
