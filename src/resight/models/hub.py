"""Models on the Hugging Face Hub: ``resight.load("hf:org/name")``, and the way there.

A repository holds ``model.safetensors``, ``model.card.json`` and a ``README.md`` made of the card. Nothing else is ever
fetched, and nothing of it is run: safetensors hold numbers alone. Files are kept in the Hub's own cache folder.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import jinja2
import yaml
from pydantic import ValidationError

from resight.errors import ModelError, first_line
from resight.files import write_text
from resight.models.card import Card, Measured, first_wrong, read_card
from resight.models.exported import Exported
from resight.models.weights import fingerprint

if TYPE_CHECKING:
    from resight.models.load import Model

PREFIX = "hf:"
WEIGHTS, CARD, README = "model.safetensors", "model.card.json", "README.md"
KNOWN = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0"}  # licences by the Hub's own names


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
            f"{name} is given only to those who accept its terms: do so at huggingface.co/{repository}, then log in "
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


def save(model: Model, folder: str | Path) -> Path:
    """Write a model as the Hub wants it: weights, card and ``README.md`` in a folder, which is returned.

    Raises:
        ModelError: a model that is no network of torch, whose weights have changed since its card was written, or whose
            card holds metrics that are none.
    """
    if isinstance(model.network, Exported):
        raise ModelError(f"{model.network.file} is no network of torch: save what it was exported from.")
    folder = Path(folder)
    found = fingerprint(model.network, model.card.preprocessing.model_dump_json())
    if model.card.fingerprint not in ("", found):
        raise ModelError(
            f"The weights have changed since they were {model.card.fingerprint}, so what its card says does not hold: "
            "give the model a card of its own, with an empty fingerprint."
        )
    whole = replace(model, card=model.card.model_copy(update={"fingerprint": found}))
    text = readme(whole.card)
    whole.save(folder / WEIGHTS)
    write_text(folder / README, text)
    return folder


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


def readme(card: Card) -> str:
    """The card as the Hub shows it: YAML for its search, then text for people."""
    title = card.about.title or f"{card.architecture} for re-identification"
    licence = card.licences.weights.lower()
    head: dict[str, Any] = {
        "library_name": "resight",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["re-identification", "resight", card.architecture],
    }
    head |= {"license": licence} if licence in KNOWN else {"license": "other", "license_name": "see-the-card"}
    if card.metrics:
        results = [_result(measured) for measured in card.metrics]
        head["model-index"] = [{"name": title, "results": results}]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["percent"] = lambda value: "" if value is None else f"{value:.2%}"
    text = resources.files("resight.models").joinpath("hub_card.md.j2").read_text(encoding="utf-8")
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n{environment.from_string(text).render(card=card, title=title)}"


def _result(entry: dict[str, Any]) -> dict[str, Any]:
    try:
        measured = Measured.model_validate(entry)
    except ValidationError as error:
        raise ModelError(f"The card's metrics cannot be shown, mend them: {first_wrong(error)}.") from None
    numbers = {"mAP": measured.mAP, "R1": measured.cmc.get("1"), "mINP": measured.mINP}
    return {
        "task": {"type": "image-retrieval", "name": "re-identification"},
        "dataset": {"name": measured.data, "type": re.sub(r"\W+", "-", measured.data)},
        "metrics": [
            {"type": name, "value": round(100 * value, 2), "name": f"{name}, %"}
            for name, value in numbers.items()
            if value is not None
        ],
    }


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
