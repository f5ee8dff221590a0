"""What a user can set on the dashboard."""

import typed_settings as ts


@ts.settings(frozen=True)
class DashboardSettings:
    """Settings of `moodwire dashboard`."""

    api_url: str = ts.option(default="http://127.0.0.1:8080", help="where the REST API listens")
    live_url: str = ts.option(default="http://127.0.0.1:8082", help="where live events are served")
    api_token: str = ts.secret(default="", help="bearer token of a viewer; the page keeps it on the server's side")
    dashboard_host: str = ts.option(default="127.0.0.1", help="address to listen on")
    dashboard_port: int = ts.option(default=8050, help="port to listen on")
    dashboard_key: str = ts.secret(
        default="", help="key that people log in with; empty: made and printed at each start"
    )
