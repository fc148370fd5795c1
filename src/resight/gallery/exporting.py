"""One person's data in a folder that needs nothing of ours to be read: JSON, npz and JPEG."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from resight.embedding.files import save
from resight.errors import DataError, ResightError
from resight.gallery.record import readable
from resight.gallery.store import EVERY, Store
from resight.records import Embeddings


def export(store: Store, name: str, folder: Path, actor: str) -> Path:
    """Write all records of an identity, whole or not at all, and note it in the log.

    Raises:
        DataError: no record has the name, or the folder is there and not empty.
        ResightError: it cannot be written.
    """
    number, records = store.number(name), store.timeline(name, EVERY, "")
    ids = [record.id for record in records]
    card = store.about.card
    about = {"identity": name, "gallery": store.uri, "model": card.fingerprint, "metric": card.metric}
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is there already: name a folder that is not there, or an empty one.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            temporary.mkdir()
            (temporary / "thumbnails").mkdir()
            answers = [asdict(one) for one in store.answers() if {one.first, one.second} <= set(ids)]
            plain = [asdict(replace(record, source=readable(record.source))) for record in records]
            known = about | {"records": plain, "answers": answers}
            text = json.dumps(known, indent=2, ensure_ascii=False) + "\n"
            (temporary / "records.json").write_text(text, encoding="utf-8")
            vectors = Embeddings(store.vectors(ids), paths=np.array(ids, np.str_), fingerprint=card.fingerprint)
            save(temporary / "vectors.npz", vectors)
            for id, small in zip(ids, store.thumbnails(ids), strict=True):
                if small is not None:
                    (temporary / "thumbnails" / f"{id}.jpg").write_bytes(small)
            store.note(actor, "export", {"identity": number, "records": len(records)})  # before anything is there
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ResightError(
            f"{folder} cannot be written ({error.strerror or error}): free some space or choose another place."
        ) from None
    return folder
