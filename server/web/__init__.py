"""What the REST API and the live events share: authentication, CORS, rate limits, metrics."""
