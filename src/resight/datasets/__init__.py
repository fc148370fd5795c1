"""Where images come from and who is on them. Knows nothing of torch.

``load("market1501", "Market-1501-v15.09.15.zip")`` gives a :class:`Dataset` with ``train``, ``query`` and
``gallery`` splits; ``names()`` lists what else there is, and ``detect(path)`` says which it is.
"""

from resight.datasets.catalog import Dataset, load, names, register
from resight.datasets.detect import detect

__all__ = ["Dataset", "detect", "load", "names", "register"]
