"""Messages to an MQTT broker with quality of service 1: the broker acknowledges each."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import unquote

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from resight.addresses import split_address
from resight.errors import DataError
from resight.secrets import without_secrets
from resight.watch.events.event import Seen
from resight.watch.events.sink import TIMEOUT, Undelivered

MQTT_PORT, MQTTS_PORT = 1883, 8883


class Mqtt:
    """A topic of a broker, ``mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC``; ``mqtts`` for TLS."""

    def __init__(self, address: str) -> None:
        self._parts = split_address(address)
        self._topic = unquote(self._parts.path.strip("/"))
        self.name = without_secrets(address)
        wrong = set("+#") & set(self._topic) or self._parts.query or "#" in address
        if not self._parts.hostname or not self._topic or wrong:
            raise DataError(
                f"--events {self.name} needs a host and a topic without +, # and ?: write mqtt://HOST/resight/seen."
            )
        self._client: paho.Client | None = None

    def send(self, seen: Seen) -> None:
        """See :class:`~resight.watch.events.sink.Sink`."""
        try:
            client = self._client = self._client or self._connect()
            message = client.publish(self._topic, seen.line(), qos=1)
            message.wait_for_publish(TIMEOUT)
            if not message.is_published():
                raise Undelivered(f"no acknowledgement for {TIMEOUT:.0f} s")
        except (OSError, ValueError, RuntimeError) as error:
            self.close()
            raise Undelivered(str(error)) from None
        except Undelivered:
            self.close()
            raise

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None

    def _connect(self) -> paho.Client:
        """A client that the broker has accepted."""
        secure = self._parts.scheme == "mqtts"
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311, reconnect_on_failure=False)
        client.connect_timeout = TIMEOUT
        if self._parts.username is not None:
            client.username_pw_set(unquote(self._parts.username), unquote(self._parts.password or ""))
        if secure:
            client.tls_set()
        answered = threading.Event()
        refusal: list[str] = []

        def on_connect(client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
            if reason.is_failure:
                refusal.append(str(reason))
            answered.set()

        client.on_connect = on_connect
        client.connect(self._parts.hostname or "", self._parts.port or (MQTTS_PORT if secure else MQTT_PORT))
        client.loop_start()
        if not answered.wait(TIMEOUT) or refusal:
            client.disconnect()
            client.loop_stop()
            raise Undelivered(refusal[0] if refusal else f"no answer for {TIMEOUT:.0f} s")
        return client
