"""amqtt with two gaps closed: whose session a client gets, and which last wills are sent.

amqtt (0.12) looks for the session of a client id before it checks the password, and changes it; and it sends any last
will, whoever may publish there. So a stranger could take over the session of ingest, and a device could say of another
one that it is offline.
"""

import logging

import amqtt.broker
from amqtt.contexts import Action, BaseContext
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.manager import PluginManager
from amqtt.scripts import broker_script
from amqtt.session import Session
from amqtt.utils import gen_client_id

log = logging.getLogger(__name__)


class _GuardedHandler(BrokerProtocolHandler):  # type: ignore[misc]  # mypy sees no types of amqtt
    """Checks a client before the broker looks for its session."""

    @classmethod
    async def init_from_connect(
        cls, reader: object, writer: object, plugins_manager: PluginManager[BaseContext], loop: object = None
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Read CONNECT, and give each account client ids of its own, and only the last wills that it may publish."""
        handler, session = await super().init_from_connect(reader, writer, plugins_manager, loop)
        answers = (await plugins_manager.map_plugin_auth(session=session) or {}).values()
        decided = [answer for answer in answers if answer is not None]
        if not (decided and all(decided)):  # the broker refuses it in a moment
            session.client_id, session.clean_session, session.will_flag = gen_client_id(), True, False
            return handler, session
        session.client_id = f"{session.username}/{session.client_id}"
        if session.will_flag:
            may = await plugins_manager.map_plugin_topic(
                session=session, topic=session.will_topic, action=Action.PUBLISH
            )
            if not all(may.values()):
                log.warning("%s may not publish its last will on %s; left out", session.username, session.will_topic)
                session.will_flag = False
        return handler, session


def main() -> None:
    """Run amqtt's own command with the guarded handler."""
    amqtt.broker.BrokerProtocolHandler = _GuardedHandler
    broker_script.main()


if __name__ == "__main__":
    main()
