"""The files of a stored index, and how they are opened without being trusted."""

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from avrec_dag.errors import AvrecError
from avrec_dag.index.nearest import InvertedFile, Vectors
from avrec_dag.index.stored import ItemIndex
from avrec_dag.storage import Blobs

FACTS, VECTORS, FILED = "index.json", "{}.npy", "{}.faiss"
_PARTS = ("fused", "joint")
_LOG = logging.getLogger(__name__)
_MEND = "materialise item_index anew (avrec materialize)"


def files(index: ItemIndex) -> dict[str, bytes]:
    """Everything to be stored: index.json with the ids, fused.npy and joint.npy, and fused.faiss and joint.faiss where there are any."""
    told = {FACTS: index.facts}
    for part in _PARTS:
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(getattr(index, part), np.float32), allow_pickle=False)
        told[VECTORS.format(part)] = content.getvalue()
    return told | {FILED.format(part): filed.content() for part, filed in index.filed.items()}


def digests(stored: Mapping[str, bytes]) -> str:
    """SHA-256 of every file as JSON, for the ledger: what `opened` compares with."""
    return json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in sorted(stored.items())})


def opened(blobs: Blobs, prefix: str, sha256: str | None) -> ItemIndex:
    """The index whose files lie under a prefix; vectors and inverted files are mapped where the store is a folder.

    Args:
        blobs: The store.
        prefix: Where.
        sha256: What `digests` said when it was stored; None (of an older index): no hash is known, so that no inverted file is read.

    Raises:
        AvrecError: Ids or vectors are not what was stored, or are broken. An inverted file that is not what was stored is never given
            to faiss: without it every item is compared.
    """
    wanted: dict[str, str] = _json(sha256.encode(), "the ledger's row") if sha256 else {}
    facts = _json(_checked(blobs, prefix, FACTS, wanted), FACTS)
    fused, joint = (_vectors(blobs, prefix, VECTORS.format(part), wanted) for part in _PARTS)
    index = _index(facts, fused, joint)
    filed = {part: one for part in facts.get("filed", ()) if part in _PARTS and (one := _filed(blobs, prefix, part, index, wanted))}
    return replace(index, filed=filed)


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise AvrecError(f"{name} of the item index is no JSON ({error}); {_MEND}") from error
    if not isinstance(found, dict):
        raise AvrecError(f"{name} of the item index holds no object; {_MEND}")
    return found


def _checked(blobs: Blobs, prefix: str, name: str, wanted: Mapping[str, str]) -> bytes:
    """The bytes of a file, if they are those that were stored."""
    try:
        content = blobs.get(f"{prefix}/{name}")
    except OSError as error:
        raise AvrecError(f"{name} of the item index cannot be read ({error}); {_MEND}") from error
    _compare(name, hashlib.sha256(content).hexdigest(), wanted)
    return content


def _source(blobs: Blobs, prefix: str, name: str, wanted: Mapping[str, str]) -> Path | bytes:
    """A file to map, or its bytes where the store is elsewhere; checked by its hash either way."""
    local = blobs.local(f"{prefix}/{name}")
    if local is None:
        return _checked(blobs, prefix, name, wanted)
    if name in wanted:
        try:
            with local.open("rb") as file:
                _compare(name, hashlib.file_digest(file, "sha256").hexdigest(), wanted)
        except OSError as error:
            raise AvrecError(f"{name} of the item index cannot be read ({error}); {_MEND}") from error
    return local


def _compare(name: str, found: str, wanted: Mapping[str, str]) -> None:
    if found != wanted.get(name, found):
        raise AvrecError(
            f"{name} of the item index has SHA-256 {found[:16]}…, stored was {str(wanted[name])[:16]}…: broken or tampered with, so it is "
            f"not read; {_MEND}"
        )


def _vectors(blobs: Blobs, prefix: str, name: str, wanted: Mapping[str, str]) -> Vectors:
    source = _source(blobs, prefix, name, wanted)
    try:
        if isinstance(source, Path):
            found = np.load(source, mmap_mode="r", allow_pickle=False)
        else:
            found = np.load(io.BytesIO(source), allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:
        raise AvrecError(f"{name} of the item index is no readable array ({str(error)[:200]}); {_MEND}") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype != np.float32 or not found.flags.c_contiguous:
        raise AvrecError(f"{name} of the item index holds no matrix of 32-bit floats; {_MEND}")
    return found


def _index(facts: Mapping[str, Any], fused: Vectors, joint: Vectors) -> ItemIndex:
    items, versions = facts.get("items"), facts.get("versions", [])
    named = isinstance(items, list) and isinstance(versions, list) and all(isinstance(one, str) for one in (*items, *versions))
    if not named or len(set(items)) != len(items) or not len(items) == len(fused) == len(joint):
        count = len(items) if isinstance(items, list) else "no"
        raise AvrecError(f"the item index names {count} items, or one twice, and holds {len(fused)} and {len(joint)} vectors; {_MEND}")
    told = {name: facts[name] for name, kind in (("left_out", int), ("encoders", str), ("space", str)) if isinstance(facts.get(name), kind)}
    return ItemIndex(tuple(items), fused, joint, versions=tuple(versions) if len(versions) == len(items) else (), **told)


def _filed(blobs: Blobs, prefix: str, part: str, index: ItemIndex, wanted: Mapping[str, str]) -> InvertedFile | None:
    name = FILED.format(part)
    try:
        if name not in wanted:
            raise AvrecError(f"no SHA-256 is known of {name}")
        return InvertedFile.opened(_source(blobs, prefix, name, wanted), getattr(index, part))
    except AvrecError as error:
        _LOG.warning("%s; until then every item is compared, which is slower and finds the same", error)
        return None
