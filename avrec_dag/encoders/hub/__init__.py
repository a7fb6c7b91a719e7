"""Encoders from the model hub: any transformers model of a known kind, by name or by folder.

A model is named as the hub names it (`google/siglip2-base-patch16-224`, with `@REVISION` for another one than `main`), or by a
folder (`/models/clap`, `./clap`). Nothing is ever downloaded here: what is missing is told with the command that gets it.
What is known without loading a model (kind, dimension, digest) is read from its files, so that loading definitions imports neither
torch nor transformers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from avrec_dag.encoders.base import Encoder, EncoderSpec, Modality
from avrec_dag.encoders.hub.folder import WANTED, MissingModelError, ModelFolder, download, model_folder
from avrec_dag.errors import SettingError

if TYPE_CHECKING:
    from avrec_dag.encoders.hub.speech import WhisperOfHub

_LOADED: dict[str, tuple[str, Encoder]] = {}
_RECOGNISERS: "dict[str, tuple[str, WhisperOfHub]]" = {}


def is_hub_name(name: str) -> bool:
    """Whether an encoder's name means a model of the hub, or a folder: it has a slash in it."""
    return "/" in name


def spec(name: str, modality: Modality | None = None) -> EncoderSpec:
    """What is known of a model without loading it.

    Args:
        name: As the hub names it, or a folder.
        modality: What is wanted of it; None takes it for what it is.

    Raises:
        SettingError: It is not here, not whole, not safe to read, or of another kind than is wanted; the sentence says what to do.
    """
    found = model_folder(name)
    if modality is not None and found.modality != modality:
        raise SettingError(
            f"{name} is {found.kind}, but {WANTED[modality]} is wanted for {modality}; name another, "
            f"such as {EXAMPLES[modality]} (`hf download {EXAMPLES[modality]}`)"
        )
    return found.spec


def specs(names: Mapping[Modality, str]) -> dict[str, EncoderSpec]:
    """`spec` of a model for each modality; what is missing is told of all of them together, with one command.

    Raises:
        SettingError: As `spec`.
    """
    found, missing = {}, []
    for modality, name in names.items():
        try:
            found[str(modality)] = spec(name, modality)
        except MissingModelError as error:
            missing.append(error)
    if len(missing) > 1:
        commands = " && ".join(download(error.name) for error in missing)
        raise SettingError(f"the models {', '.join(error.name for error in missing)} are not on this machine; get them with `{commands}`")
    if missing:
        raise missing[0]
    return found


def load(name: str) -> Encoder:
    """The encoder of a model, one per process as long as its files stay what they are. Weights are read at its first use.

    Raises:
        SettingError: As `spec`; or the model encodes neither pictures nor sound nor text.
    """
    found = model_folder(name)
    known = _LOADED.get(name)
    if known is None or known[0] != found.spec.digest:
        known = _LOADED[name] = (found.spec.digest, _encoder(found))
    return known[1]


def recogniser(name: str) -> "WhisperOfHub":
    """The speech recogniser of a model, one per process as long as its files stay what they are. Weights are read at its first use.

    Raises:
        SettingError: As `spec` with the modality `speech`; or the model does not tell what its tokens mean.
    """
    from avrec_dag.encoders.hub.speech import WhisperOfHub

    digest = spec(name, "speech").digest
    known = _RECOGNISERS.get(name)
    if known is None or known[0] != digest:
        known = _RECOGNISERS[name] = (digest, WhisperOfHub(model_folder(name)))
    return known[1]


def _encoder(found: ModelFolder) -> Encoder:
    from avrec_dag.encoders.hub.pairs import PictureText, SoundText
    from avrec_dag.encoders.hub.texts import Texts

    makers = {"frame": PictureText, "audio": SoundText, "text": Texts}
    if found.modality not in makers:
        raise SettingError(f"{found.name} is {found.kind}, which gives no vectors; name it in AVREC_SPEECH=hub:{found.name}")
    return makers[found.modality](found)


EXAMPLES: dict[Modality, str] = {
    "frame": "google/siglip2-so400m-patch16-384",
    "audio": "laion/larger_clap_general",
    "text": "Qwen/Qwen3-Embedding-0.6B",
    "speech": "openai/whisper-large-v3-turbo",
}
"""What the preset `hub` means, per modality. Chosen by what their authors measured among models whose weights are open and which load
without code of their own; **not measured here**, where no hub can be reached.

- Pictures: SigLIP 2 So400m (Tschannen et al. 2025, arXiv 2502.14786): ahead of SigLIP and CLIP of its size in zero-shot classification
  and retrieval, and trained on 109 languages, so that Chinese queries need no other model.
- Sound: LAION's larger CLAP (Wu et al., ICASSP 2023): sounds, music and speech by one model. Its text tower knows English only: a
  query in another language finds sounds by their pictures and titles alone.
- Text: Qwen3-Embedding 0.6B (Zhang et al. 2025, arXiv 2506.05176): ahead of E5 and BGE-M3 on the multilingual MTEB at the same size,
  over 100 languages; takes long texts such as transcripts.
- Speech: Whisper large-v3-turbo (Radford et al., ICML 2023): 99 languages, word times, several times faster than large-v3 for nearly
  its accuracy.
"""
