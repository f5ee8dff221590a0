"""What a user can set on the dashboard."""

import typed_settings as ts


@ts.settings(frozen=True)
class DashboardSettings:
    """Settings of `moodwire dashboard`."""

    api_url: str = ts.option(default="http://127.0.0.1:8080", help="where the REST API listens")
    live_url: str = ts.option(default="http://127.0.0.1:8082", help="where live events are served")
    dashboard_host: str = ts.option(default="127.0.0.1", help="address to listen on")
    dashboard_port: int = ts.option(default=8050, help="port to listen on")
    dashboard_dir: str = ts.option(
        default="", help="folder that keeps who is logged in; empty: everyone logs in again after a restart"
    )
    session_days: int = ts.option(default=30, help="days until one must log in again, 1 to 400")
    api_token: str = ts.secret(
        default="", help="token that the key stands for; empty: people log in with tokens of their own only"
    )
    dashboard_key: str = ts.secret(
        default="", help="key that people log in with instead of a token; empty: made and printed at each start"
    )
