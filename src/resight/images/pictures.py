"""Whatever holds one picture, made (H, W, 3) uint8 RGB: a path, bytes, a Pillow image, an array, a tensor."""

from __future__ import annotations

import os
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from resight.errors import DataError, RecipeError
from resight.images.decode import Pixels, decode, decode_bytes, from_pillow

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = Any  # which typing.get_type_hints finds without torch

Picture: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8] | Tensor
Colour = Literal["RGB", "BGR"]

_KINDS = (
    "pass a path, the bytes of an image file, a file opened for reading bytes, a Pillow image, an (H, W, 3) or (H, W) "
    "uint8 array, "
    "or a (3, H, W) tensor, uint8 or float from 0 to 1"
)
_PILLOW = threading.Lock()  # a Pillow image is decoded when it is first used, and may stand twice in a list


def pixels_of(picture: object, name: str, colour: Colour = "RGB") -> Pixels:
    """The pixels of one picture.

    Args:
        picture: a path, which may lead through a zip archive; the bytes of an image file, or such a file opened for
            reading bytes, from where it stands; a Pillow image; an (H, W, 3) or grey (H, W) uint8 array; a (3, H, W)
            tensor of uint8, or of floats from 0 to 1, which are rounded to the nearest of 256 steps.
        name: for the message.
        colour: the order of arrays and tensors; files and Pillow images know their own.

    Raises:
        DataError: none of these, without pixels, or an image that cannot be read.
    """
    if isinstance(picture, (str, os.PathLike)):
        if "\0" in os.fspath(picture):
            raise DataError(f"{name!r} is no path, for it has a zero byte: pass a path.")
        return decode(picture)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return decode_bytes(bytes(picture), name)
    if is_open_file(picture):
        return decode_bytes(read_open_file(picture, name), name)
    if isinstance(picture, Image.Image):
        try:
            with _PILLOW:
                return from_pillow(picture, name)
        except DataError:
            raise
        except Exception as error:  # as many as decoders have
            raise DataError(f"{name} is not a complete image ({error}): open it again or leave it out.") from None
    pixels = _of_tensor(picture, name) if is_tensor(picture) else picture
    if isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and 0 not in pixels.shape:
        if pixels.ndim == 2:
            return np.repeat(pixels[..., None], 3, axis=2)
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            return np.ascontiguousarray(pixels[..., ::-1] if colour == "BGR" else pixels)
    raise DataError(f"{name} is {_described(picture)}: {_KINDS}.")


def _of_tensor(tensor: Tensor, name: str) -> object:
    """A (3, H, W) tensor as an (H, W, 3) uint8 array; anything else as it is."""
    if not _is_plain(tensor) or tensor.ndim != 3 or len(tensor) != 3 or not tensor.numel():
        return tensor
    if tensor.is_floating_point():
        tensor = tensor.detach().float()
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise DataError(
                f"{name} has values outside 0 to 1: divide one that goes from 0 to 255 by 255, undo the normalisation "
                "of one that was normalised, or pass uint8."
            )
        tensor = (tensor * 255).round().byte()
    return tensor.detach().cpu().permute(1, 2, 0).numpy()


def is_tensor(picture: object) -> TypeGuard[Tensor]:
    """Whether this is a tensor of torch, which is not imported for it: who has a tensor has done so."""
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(picture, kind)


def is_array(picture: object) -> TypeGuard[NDArray[Any] | Tensor]:
    """Whether this is an array of numpy or a tensor of torch."""
    return isinstance(picture, np.ndarray) or is_tensor(picture)


def _is_plain(tensor: Tensor) -> bool:
    """Whether it holds a number for each of its places."""
    return not (tensor.is_meta or tensor.is_nested or tensor.is_quantized) and str(tensor.layout) == "torch.strided"


def checked_colour(colour: Colour) -> Colour:
    """The order itself; RecipeError where it is none."""
    if colour not in ("RGB", "BGR"):
        raise RecipeError(f"colour is {colour!r}: choose 'RGB' or 'BGR'.")
    return colour


def is_open_file(picture: object) -> bool:
    """Whether this is an open file, or an object like one: ``io.BytesIO``, an upload."""
    return callable(getattr(picture, "read", None)) and not isinstance(picture, Image.Image)


def read_open_file(file: Any, name: str) -> bytes:
    """The bytes of an open file, from where it stands; DataError where it gives none."""
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed, or opened as text
        raise DataError(f"{name} is a file that cannot be read ({error}): open it for reading bytes.") from None
    if not isinstance(data, bytes):
        raise DataError(f"{name} is a file that gives {type(data).__name__}: open it for reading bytes ('rb').")
    return data


def _described(picture: object) -> str:
    if is_tensor(picture) and not _is_plain(picture):
        return "a tensor that is sparse, nested, quantised or without content"
    if is_array(picture):
        return f"{str(picture.dtype).removeprefix('torch.')} {tuple(picture.shape)}"
    return "None, which cv2.imread gives for a file it cannot read" if picture is None else type(picture).__name__
