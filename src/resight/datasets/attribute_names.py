"""The names of Market-1501's attributes (Lin et al., Pattern Recognition 2019), in the orders that are used."""

from __future__ import annotations

UNKNOWN = 255
"""The label of an attribute that was not annotated."""

AGES = ("young", "teenager", "adult", "old")
YES_NO = ("backpack", "bag", "handbag", "clothes", "down", "up", "hair", "hat", "gender")
UP = ("upblack", "upwhite", "upred", "uppurple", "upyellow", "upgray", "upblue", "upgreen")
DOWN = (
    *("downblack", "downwhite", "downpink", "downpurple", "downyellow", "downgray", "downblue", "downgreen"),
    "downbrown",
)
ATTRIBUTES = (*YES_NO, *UP, *DOWN, "upmulticolor", "downmulticolor", *AGES)
"""What the 32 columns say where they are 1. Of the first nine: carries a backpack, a bag, a handbag; wears pants (not
a dress), short lower clothes, short sleeves; has long hair, a hat; is a woman. ``upmulticolor`` is no upper colour."""

ANNOTATED = ("age", *YES_NO, *UP, *DOWN)
"""The 27 fields of an annotation."""

PREDICTED = ("age", *YES_NO, *UP, "upmulticolor", *DOWN, "downmulticolor")
"""The 29 columns of a table of predictions, after the name of the image, as in ``gallery_market.mat``."""

UP_COLOURS = ("upblack", "upwhite", "upred", "uppurple", "upgray", "upblue", "upgreen", "upyellow")
DOWN_COLOURS = (
    *("downblack", "downwhite", "downpink", "downgray", "downblue", "downgreen", "downbrown"),
    *("downyellow", "downpurple"),
)
OFFICIAL = (
    *("gender", "hair", "age", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"),
    *("upper colour", "lower colour"),
)
"""The twelve columns of Market-1501's official attribute score; colours are numbered in the order given above."""
