"""Networks: images (B, 3, H, W) in, :class:`~resight.models.output.Output` out."""

from resight.models.card import Card
from resight.models.folder import save
from resight.models.hub import push
from resight.models.load import load
from resight.models.model import Model
from resight.models.output import Output
from resight.models.registry import create, list_models, register

list = list_models

__all__ = ["Card", "Model", "Output", "create", "list", "list_models", "load", "push", "register", "save"]
