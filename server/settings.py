"""The server's settings, shared by ingest and REST."""

import typed_settings as ts


@ts.settings(frozen=True)
class ServerSettings:
    """Where the store and the broker are, where REST listens, who may read, and how long data is kept."""

    redis_url: str = ts.option(
        default="redis://127.0.0.1:6379/0",
        help="the store: redis://, rediss:// (TLS) or unix:///path/to/socket; any node of a cluster: cluster+redis://",
    )
    mqtt_url: str = ts.option(default="mqtt://127.0.0.1:1883", help="the broker: mqtt://host:port, or mqtts:// for TLS")
    mqtt_username: str = ts.option(default="", help="user name at the broker; empty for none")
    mqtt_password: str = ts.secret(default="", help="password at the broker")
    mqtt_ca_file: str = ts.option(
        default="", help="certificate authority that signed the broker's certificate; empty: the system's"
    )
    mqtt_client_id: str = ts.option(
        default="moodwire-ingest",
        help="client id of ingest, under which the broker keeps its session; the broker of `moodwire setup` takes the "
        "account instead",
    )
    mqtt_version: str = ts.option(default="3.1.1", help="MQTT version that ingest speaks: 3.1.1 or 5")
    mqtt_share: str = ts.secret(
        default="",
        help="name under which several ingests divide the work, each with an account and a client id of its own; "
        "16 characters or more that nobody can guess; needs mqtt_version 5",
    )
    api_host: str = ts.option(default="127.0.0.1", help="address that REST listens on")
    api_port: int = ts.option(default=8080, help="port that REST listens on")
    live_host: str = ts.option(default="127.0.0.1", help="address that live events are served on")
    live_port: int = ts.option(default=8082, help="port that live events are served on")
    viewer_token: str = ts.secret(
        default="", help="bearer token that may read; empty: generated at the first start and printed once"
    )
    operator_token: str = ts.secret(
        default="",
        help="bearer token that may also command and delete; empty: generated at the first start and printed once",
    )
    requests_per_minute: int = ts.option(
        default=12_000,
        help="requests a minute that REST, and live events, accept from each token and address; 0 for no limit",
    )
    cors_origins: str = ts.option(
        default="",
        help="origins whose pages may read REST and live events, like https://example.org; separated by commas",
    )
    retention_days: int = ts.option(default=90, help="days that single readings are kept")
    rollup_retention_days: int = ts.option(
        default=730, help="days that rollups (minutes, hours, days) are kept; at least retention_days"
    )
