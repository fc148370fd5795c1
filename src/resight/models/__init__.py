"""Networks: images (B, 3, H, W) in, :class:`~resight.models.output.Output` out."""

from resight.models import osnet, osnet_ain  # registers the architectures
from resight.models.card import Card
from resight.models.load import Model, load
from resight.models.output import Output
from resight.models.registry import create, register
from resight.models.registry import list_models as list

__all__ = ["Card", "Model", "Output", "create", "list", "load", "osnet", "osnet_ain", "register"]
