"""Models trained on pairs: pictures with texts (SigLIP 2, SigLIP, CLIP) and sounds with texts (CLAP)."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from avrec_dag.encoders import devices
from avrec_dag.encoders.base import Matrix, Picture
from avrec_dag.encoders.hub.folder import ModelFolder
from avrec_dag.media.audio import Waveform

CPU_BATCH, CARD_BATCH = 8, 128
_SIGLIP = ("siglip", "siglip2")
_MOST_TOKENS = 512


class _Pair:
    """A model with a tower for texts and one for something else; its weights load at first use."""

    classes: tuple[str, ...] = ()
    """None: what it sees or hears is told by its vectors, against any text."""

    def __init__(self, folder: ModelFolder) -> None:
        self.folder, self.spec = folder, folder.spec

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return devices.device()

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Captions -> float32 (n, dim), unit length."""
        return self._of_texts(list(texts))

    def tag(self, batch: Sequence[Any]) -> tuple[Matrix, Matrix]:
        """Vectors as `encode` gives them, and no classes: float32 (n, 0)."""
        return self.encode(batch), np.zeros((len(batch), 0), np.float32)

    def encode(self, batch: Sequence[Any]) -> Matrix:
        """float32 (n, dim), unit length."""
        return self._of_media(batch) if len(batch) else np.zeros((0, self.spec.dim), np.float32)

    @cached_property
    def _model(self) -> Any:
        from avrec_dag.encoders.hub.network import loaded

        return loaded(self.folder, devices.place())

    @cached_property
    def _of_texts(self) -> Any:
        return self._network(self._model.get_text_features, self._tokens)

    @cached_property
    def _of_media(self) -> Any:
        raise NotImplementedError

    def _network(self, forward: Any, prepare: Any) -> Any:
        from avrec_dag.encoders.hub.network import Network, most_at_once

        return Network(self.spec.name, self.spec.dim, forward, prepare, devices.place(), most_at_once(CPU_BATCH, CARD_BATCH))

    @cached_property
    def _tokenizer(self) -> Any:
        from avrec_dag.encoders.hub.network import SAFE, quiet, transformers

        with quiet():
            return transformers.AutoTokenizer.from_pretrained(self.folder.path, **SAFE)

    @cached_property
    def _most_tokens(self) -> int:
        config = self._model.config.text_config
        reserved = 2 if config.model_type in ("roberta", "clap_text_model") else 0  # RoBERTa counts positions from 2
        return min(config.max_position_embeddings - reserved, self._tokenizer.model_max_length, _MOST_TOKENS)

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        if self.folder.model_type not in _SIGLIP:
            return dict(self._tokenizer(texts, padding=True, truncation=True, max_length=self._most_tokens, return_tensors="pt"))
        # SigLIP was trained on texts in lower case, filled up to full length, and its padding was not masked.
        lower = [text.lower() for text in texts]
        tokens = self._tokenizer(lower, padding="max_length", truncation=True, max_length=self._most_tokens, return_tensors="pt")
        return {"input_ids": tokens["input_ids"]}


class PictureText(_Pair):
    """Pictures and captions in one space.

    SigLIP 2 (Tschannen et al. 2025), SigLIP (Zhai et al., ICCV 2023), CLIP (Radford et al., ICML 2021).

    Takes RGB pictures uint8 (h, w, 3) of any sizes.
    """

    @cached_property
    def _of_media(self) -> Any:
        return self._network(self._model.get_image_features, self._pixels)

    @cached_property
    def _image_processor(self) -> Any:
        from avrec_dag.encoders.hub.network import SAFE, quiet, transformers

        with quiet():
            return transformers.AutoImageProcessor.from_pretrained(self.folder.path, backend="pil", **SAFE)

    def _pixels(self, pictures: Sequence[Picture]) -> dict[str, Any]:
        # The axes are told: of a picture three pixels high they could not be guessed.
        return dict(self._image_processor(images=list(pictures), input_data_format="channels_last", return_tensors="pt"))


class SoundText(_Pair):
    """Sounds and captions in one space: CLAP (Wu et al., ICASSP 2023).

    Takes mono waveforms, float32 (n,) in [-1, 1] at `sample_rate_hz`, of at most `window_s`; a shorter one is repeated to fill it.
    """

    held = 16
    """Windows held in memory at once: 31 MB of ten seconds at 48 kHz."""

    @property
    def sample_rate_hz(self) -> int:
        """What the model was trained at (48 kHz)."""
        return int(self._feature_extractor.sampling_rate)

    @property
    def window_s(self) -> float:
        """How long a sound it takes at once."""
        return self._feature_extractor.nb_max_samples / self.sample_rate_hz

    @cached_property
    def _of_media(self) -> Any:
        return self._network(self._model.get_audio_features, self._features)

    @cached_property
    def _feature_extractor(self) -> Any:
        from avrec_dag.encoders.hub.network import SAFE, quiet, transformers

        with quiet():
            return transformers.AutoFeatureExtractor.from_pretrained(self.folder.path, **SAFE)

    def _features(self, windows: Sequence[Waveform]) -> dict[str, Any]:
        most = self._feature_extractor.nb_max_samples
        cut = [np.asarray(window[:most], np.float64) for window in windows]  # of a longer one a random part would be taken
        found = self._feature_extractor(cut, sampling_rate=self.sample_rate_hz, return_tensors="pt")
        # For models that fuse parts of long sounds, a short one of each batch is picked at random and called long.
        return {"input_features": found["input_features"], "is_longer": found["is_longer"] & False}
