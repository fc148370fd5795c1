"""The sink of an address: a file, a pipe or standard output, an MQTT broker, a web address."""

from __future__ import annotations

from resight.addresses import host_only
from resight.errors import DataError, RecipeError
from resight.watch.events.lines import Lines
from resight.watch.events.pipe import Pipe, is_pipe
from resight.watch.events.sink import Sink
from resight.watch.events.webhook import Webhook


def open_sink(address: str) -> Sink:
    """The sink at ``-`` (standard output), a path of a file or named pipe, ``mqtt[s]://HOST[:PORT]/TOPIC`` or ``http[s]://...``.

    Raises:
        DataError: an address of another kind or without a host or topic, or a file that cannot be written.
        RecipeError: MQTT without the extra.
    """
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in ("http", "https"):
        return Webhook(address)
    if scheme in ("mqtt", "mqtts"):
        try:
            from resight.watch.events.mqtt import Mqtt
        except ImportError:
            raise RecipeError(
                "--events mqtt://... needs paho-mqtt, which is not installed: pip install 'resight[mqtt]'."
            ) from None
        return Mqtt(address)
    if scheme:
        raise DataError(f"--events {host_only(address)} is no sink: write -, FILE, mqtt://HOST/TOPIC or http://...")
    return Pipe(address) if is_pipe(address) else Lines(address)
