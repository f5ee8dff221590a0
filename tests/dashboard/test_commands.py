"""The command that serves the page says why it cannot."""

import pytest

from dashboard import commands
from dashboard.settings import DashboardSettings


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99_999), ("no host", 0)])
def test_where_nobody_can_listen_is_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], host: str, port: int
) -> None:
    """The sentence names both settings and what is wrong with them."""
    assert commands.run(DashboardSettings(dashboard_host=host, dashboard_port=port)) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"cannot listen on dashboard_host {host} and dashboard_port {port} (")
    assert "\n" not in said.strip()
