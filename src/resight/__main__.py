"""``python -m resight`` is ``resight``; ``torchrun ... -m resight train`` needs it."""

from resight.cli.main import main

main()
