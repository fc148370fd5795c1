"""The few exceptions a caller can catch. Every message is one sentence: what, where, and what to do."""


class ResightError(Exception):
    """Anything resight refuses to do; the message says what is wrong, where, and how to correct it."""


class DataError(ResightError):
    """Images, folders, archives or labels that cannot be used as they are."""


class ModelError(ResightError):
    """A model, checkpoint or card that does not exist, does not load or does not fit."""


class RecipeError(ResightError):
    """A recipe or an option with a wrong name or value."""


class TrainingError(ResightError):
    """A training run that cannot go on: a non-finite loss, a full disk, a run that does not match its checkpoint."""


def first_line(error: Exception) -> str:
    """The first line of what others say, which is often a page, without its full stop; the error's kind if nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
