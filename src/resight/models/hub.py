"""Models on the Hugging Face Hub: ``resight.load("hf:org/name")``, and the way there.

A repository holds the files of a model's folder (:mod:`resight.models.folder`). Nothing else is ever fetched, and
nothing of it is run: safetensors hold numbers alone. Files are kept in the Hub's own cache folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resight.errors import ModelError, first_line
from resight.models.card import read_card
from resight.models.folder import CARD, WEIGHTS, save
from resight.models.model import Model

PREFIX = "hf:"


def fetch(name: str) -> Path:
    """The weights of ``hf:org/name``, or of ``hf:org/name@revision``, on this disk, with their card beside them.

    What is on this disk already is not fetched again; without a network, that is what is used.

    Raises:
        ModelError: no such repository, revision or file; no network; or files that are not what Hub and card say.
    """
    hub = _hub()
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    problem = hub.errors
    try:
        card = Path(hub.hf_hub_download(repository, CARD, revision=revision or None))
        weights = Path(hub.hf_hub_download(repository, WEIGHTS, revision=card.parent.name))  # of the same commit
    except problem.GatedRepoError:
        raise ModelError(
            f"{name} is available only after accepting its terms: do so at huggingface.co/{repository}, then log in "
            "with hf auth login."
        ) from None
    except problem.RepositoryNotFoundError:
        raise ModelError(
            f"There is no {name} on the Hub, or it is private: check the name, or log in with hf auth login."
        ) from None
    except problem.RevisionNotFoundError:
        raise ModelError(
            f"{repository} on the Hub has no revision {revision!r}: leave it out or take another."
        ) from None
    except problem.LocalEntryNotFoundError:
        raise ModelError(
            f"{name} is not on this disk and the Hub cannot be reached: load it once where there is a network."
        ) from None
    except problem.EntryNotFoundError:
        raise ModelError(
            f"{name} is no model of resight, which has {WEIGHTS} and {CARD}: give those files a repository, or load a "
            "file of it by hand."
        ) from None
    except problem.HFValidationError:
        raise ModelError(
            f"{name!r} names no repository of the Hub: write hf:org/name or hf:org/name@revision."
        ) from None
    except (problem.HTTPError, OSError, RuntimeError) as error:  # the last is that of its library for large files
        raise ModelError(f"{name} cannot be fetched ({first_line(error)}): try again later.") from None
    for file in (card, weights):
        _check(file, name)
    found = read_card(weights)
    if found is None or not found.fingerprint:
        raise ModelError(f"The card of {name} has no fingerprint, so its weights cannot be verified: save it again.")
    return weights


def push(model: Model, repository: str, *, private: bool = False) -> str:
    """Put a model on the Hub, and make the repository if it is not there; log in before, with ``hf auth login``.

    Args:
        model: a network with its card.
        repository: ``org/name``.
        private: refuse a repository that is public, and make a private one where there is none.

    Returns:
        The name under which exactly this model can be loaded: ``hf:org/name@commit``.

    Raises:
        ModelError: the Hub refuses it, or cannot be reached; or it is to be private and the repository is not.
    """
    hub = _hub()
    with TemporaryDirectory() as folder:
        files = [hub.CommitOperationAdd(file.name, file) for file in sorted(save(model, folder).iterdir())]
        try:
            api = hub.HfApi()
            api.create_repo(repository, private=private, exist_ok=True)
            if private and not api.repo_info(repository).private:
                raise ModelError(f"{repository} is public on the Hub: make it private there, or choose another name.")
            done = api.create_commit(repository, files, commit_message="Model of resight")  # all three or none
        except hub.errors.HFValidationError:
            raise ModelError(f"{repository!r} is no name for a repository: write org/name.") from None
        except (hub.errors.HTTPError, OSError, RuntimeError) as error:
            raise ModelError(
                f"{repository} cannot be written on the Hub ({first_line(error)}): log in with hf auth login and check "
                "the name."
            ) from None
    return f"{PREFIX}{repository}@{done.oid}"


def _check(file: Path, name: str) -> None:
    """Compare a file's bytes with the hash after which the Hub's cache names it: SHA-256, or git's of small files."""
    blob = file.resolve()
    if blob.parent.name != "blobs":  # a disk without links keeps copies; the fingerprint is compared everywhere
        return
    content = blob.read_bytes()
    kinds = {64: hashlib.sha256(content), 40: hashlib.sha1(b"blob %d\0" % len(content) + content)}
    wanted = kinds.get(len(blob.name))
    if wanted is None or wanted.hexdigest() != blob.name:
        raise ModelError(f"{file.name} of {name} is not what the Hub has ({blob}): delete that file and load it again.")


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise ModelError("The Hub needs huggingface_hub, which is not installed: pip install 'resight[hub]'.") from None
    return huggingface_hub
