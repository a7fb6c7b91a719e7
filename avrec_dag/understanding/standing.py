"""What a classifier leaves in the store beside itself, so that it can be gone on from and judged: its fold models and what it learned."""

import json

from avrec_dag.errors import MissingError, SettingError
from avrec_dag.storage import Blobs
from avrec_dag.understanding.classifier import load, read_weights
from avrec_dag.understanding.incremental import Standing, Trained

_LEARNED = "learned.json"


def files_of(trained: Trained) -> dict[str, bytes]:
    """What to store of a training: the classifier's own files, a safetensors file per fold, and JSON."""
    from safetensors.numpy import save

    told = {"folds": len(trained.folds), "fold_of": dict(trained.fold_of), "learned": dict(trained.learned)}
    folds = {f"fold-{number}.safetensors": save(weights) for number, weights in enumerate(trained.folds)}
    return {**trained.classifier.files(), **folds, _LEARNED: json.dumps(told, ensure_ascii=False).encode()}


def read_standing(blobs: Blobs, prefix: str) -> Standing:
    """The classifier stored under a prefix, with its fold models.

    Raises:
        MissingError: There is none.
        SettingError: What is there is damaged or of another format.
    """
    classifier = load(blobs, prefix)
    try:
        told = json.loads(blobs.get(f"{prefix}/{_LEARNED}"))
        fold_of = {str(media_id): int(fold) for media_id, fold in told["fold_of"].items()}
        if not fold_of or not all(0 <= fold < int(told["folds"]) for fold in fold_of.values()):
            raise ValueError("its folds do not fit its items")
        folds = tuple(read_weights(blobs, f"{prefix}/fold-{number}.safetensors") for number in range(int(told["folds"])))
    except FileNotFoundError as error:
        raise MissingError(f"loading the classifier {prefix}: its fold models are missing; materialize classifier_candidate") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"loading the classifier {prefix}: what it learned is damaged ({error}); materialize classifier_candidate"
        raise SettingError(message) from error
    return Standing(classifier, folds, fold_of, dict(told["learned"]))
