"""The settings of a service: its address, keys and limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from resight.errors import RecipeError
from resight.gallery.store import HELD
from resight.server.keys import NO_KEYS, Keys


@dataclass(frozen=True)
class Settings:
    """Where a service listens, and its limits.

    Attributes:
        host, port: the address; port 0 takes a free one.
        keys: who may do what. Without any, everybody who reaches the address may do everything, so that it must be
            this machine's own.
        upload_bytes: how long the body of a request may be.
        pixels: how many a picture may have; found before they are decoded.
        rate: requests a second, of each key or, without keys, of each address, on average; 0 for any number.
        queue: how many requests may be under way; one more is sent away.
        patience: seconds in which the whole body of a request must have come.
        memory: bytes that the vectors of a gallery in PostgreSQL may take in this process; a larger one is searched in
            the database. 0 to search there in any case.
        proxies: addresses or networks whose headers ``X-Forwarded-Proto``, ``-Host`` and ``-For`` are believed. Without
            keys, an address that others reach answers them and this machine alone.
        expire_every: seconds after which what is past its expiry is erased, again and again; 0 for never.

    Raises:
        RecipeError: a number out of its range, or an address that others reach, without keys.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Keys = NO_KEYS
    upload_bytes: int = 20_000_000
    pixels: int = 40_000_000
    rate: float = 50.0
    queue: int = 64
    patience: float = 30.0
    expire_every: float = 3600.0
    memory: int = HELD
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("upload_bytes", "pixels", "queue", "patience"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} is {getattr(self, name)}: it must be more than 0.")
        if self.memory < 0:
            raise RecipeError(f"memory is {self.memory}: choose bytes, or 0 to search in the database.")
        if self.rate < 0:
            raise RecipeError(f"rate is {self.rate}: choose requests a second, or 0 for any number.")
        if self.expire_every < 0:
            raise RecipeError(f"expire_every is {self.expire_every}: choose seconds, or 0 for never.")
        for proxy in self.proxies:
            try:
                ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise RecipeError(
                    f"The proxy {proxy} is no address: write 10.0.0.7, or a network as 10.0.0.0/24."
                ) from None
        if not (self.keys or self.proxies) and not is_local(self.host):
            raise RecipeError(
                f"{self.host} can be reached by others, and without keys they may do everything: make a key with "
                "resight serve --new-key NAME --keys keys.json and pass --keys keys.json, or stay on 127.0.0.1."
            )

    def is_proxy(self, address: str) -> bool:
        """Whether an address is one of the proxies'."""
        try:
            return any(ipaddress.ip_address(address) in ipaddress.ip_network(one, strict=False) for one in self.proxies)
        except ValueError:  # no address, as of a Unix socket
            return False


def is_local(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
