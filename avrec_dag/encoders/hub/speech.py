"""Speech to text by any Whisper of the hub: words with their times, the language, and how sure the model is of both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders import devices
from avrec_dag.encoders.hub.folder import ModelFolder
from avrec_dag.encoders.recognition import Heard, Sentence, Word
from avrec_dag.errors import AvrecError, SettingError

SAMPLE_RATE_HZ = 16000
_SAMPLES_PER_STEP = 320
"""Whisper's encoder gives a vector for every 20 ms; an odd 10 ms at the end would be a window without any."""
_ENGLISH = "en"


@dataclass(frozen=True)
class Token:
    """One token of a text.

    Attributes:
        number: In the vocabulary.
        prob: The probability with which it was chosen, in [0, 1].
        start_s, end_s: Its time in the samples; None where the model does not tell.
    """

    number: int
    prob: float
    start_s: float | None = None
    end_s: float | None = None


class WhisperOfHub:
    """Whisper (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023), by transformers.

    Decodes greedily, so that the same samples always give the same text. `language_prob` and `no_speech_prob` are probabilities of
    the first step after the start token, and `avg_logprob` is the mean over the tokens of a window, as in sections 2.3 and 4.5 of the
    paper. Word times come from dynamic time warping over the cross-attention of the heads that `generation_config.json` names in
    `alignment_heads`. **A model that names none gives times of segments alone: they are spread over the segment's words by their
    length.** A model for English alone hears English, whatever language it is told.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self.folder, self.spec = folder, folder.spec
        self._told = _settings(folder)

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return devices.device()

    def recognise(self, samples: NDArray[np.float32], language: str | None = None) -> Heard:
        """As `recognition.Recogniser.recognise`.

        Raises:
            AvrecError: The model does not know the language, the samples are longer than it hears at once, or memory does not suffice.
        """
        import torch

        from avrec_dag.encoders.hub.network import precision

        features, place = self._features(samples), devices.place()
        try:
            with torch.inference_mode(), torch.autocast("cuda", dtype=precision(place), enabled=place != "cpu"):
                features = features.to(place)
                heard, prob, silent_prob = self._first_step(features)
                code = self._checked(language) or heard
                segments = self._segments(features, code)
        except torch.OutOfMemoryError:  # one stretch of speech is the least that can be asked for
            raise AvrecError(f"{self.spec.name}: memory of {place} does not suffice for one input; use a smaller one") from None
        sentences = tuple(sentence for segment in segments if (sentence := self._sentence(segment, code, silent_prob)))
        return Heard(sentences, code, 1.0 if language and self._languages else prob)

    def _features(self, samples: NDArray[np.float32]) -> Any:
        """Log-mel spectrogram (1, n_mels, n_frames) of the samples alone: silence up to 30 s would be listened to as well."""
        window = int(self._extractor.n_samples)
        if len(samples) > window:
            raise AvrecError(f"{self.spec.name} hears {window / SAMPLE_RATE_HZ:g} s at once, not {len(samples) / SAMPLE_RATE_HZ:.1f} s")
        steps = max(5, -(-len(samples) // _SAMPLES_PER_STEP))  # of less than 0.1 s no spectrogram can be made
        filled = np.pad(np.asarray(samples, np.float32), (0, steps * _SAMPLES_PER_STEP - len(samples)))
        return self._extractor(filled, sampling_rate=SAMPLE_RATE_HZ, padding=False, return_tensors="pt").input_features

    def _first_step(self, features: Any) -> tuple[str, float, float]:
        """Language, how sure it is of it, and how likely nobody speaks."""
        import torch

        frames = self._model.config.max_source_positions * 2
        whole = torch.nn.functional.pad(features, (0, frames - features.shape[-1]))
        start = torch.tensor([[self._model.generation_config.decoder_start_token_id]], device=features.device)
        logits = self._model(input_features=whole, decoder_input_ids=start, use_cache=False).logits[0, -1].float()
        silent_prob = float(logits.softmax(dim=0)[self._told["no_timestamps_token_id"] - 1])
        if not self._languages:
            return _ENGLISH, 1.0, silent_prob
        probs = logits[list(self._languages.values())].softmax(dim=0)
        best = int(probs.argmax())
        return list(self._languages)[best], float(probs[best]), silent_prob

    def _checked(self, language: str | None) -> str | None:
        if language and self._languages and language not in self._languages:
            raise AvrecError(f"{self.spec.name} knows no language {language!r}; it knows {', '.join(sorted(self._languages))}")
        return language if self._languages else _ENGLISH

    def _segments(self, features: Any, language: str) -> list[Mapping[str, Any]]:
        """What transformers finds, window by window."""
        import torch

        from avrec_dag.encoders.hub.network import quiet

        options = {"language": language, "task": "transcribe"} if self._languages else {}
        with quiet():
            found = self._model.generate(
                features,
                attention_mask=torch.ones(features.shape[0], features.shape[-1], dtype=torch.long, device=features.device),
                return_timestamps=True,
                return_token_timestamps=self._aligned or None,
                return_segments=True,
                return_dict_in_generate=True,
                output_scores=True,
                temperature=0.0,
                num_beams=1,
                condition_on_prev_tokens=False,  # a phrase made up once would be repeated to the end
                **options,
            )
        return found["segments"][0]

    def _sentence(self, segment: Mapping[str, Any], language: str, silent_prob: float) -> Sentence | None:
        tokens, avg_logprob = self._tokens(segment)
        if not tokens:
            return None
        words = tuple(self._words(tokens, language, float(segment["start"]), float(segment["end"])))
        return Sentence(self._tokenizer.decode([token.number for token in tokens]), words, avg_logprob, silent_prob)

    def _tokens(self, segment: Mapping[str, Any]) -> tuple[list[Token], float]:
        """The segment's tokens of text, and the mean log-probability of all tokens of its window."""
        import torch

        result, (first, end) = segment["result"], segment["idxs"]
        scores = torch.stack(list(result["scores"])).float()
        chosen = result["sequences"][-len(scores) :]
        logprobs = scores.log_softmax(dim=-1).gather(1, chosen[:, None])[:, 0]
        before = len(result["sequences"]) - len(scores)
        probs = logprobs[first - before : end - before].exp().tolist()
        numbers = segment["tokens"].tolist()
        # Transformers gives each token the time at which it ends; it starts where the one before it does.
        ends: Sequence[float | None] = segment["token_timestamps"].tolist() if self._aligned else [None] * len(numbers)
        starts = [float(segment["start"]) if self._aligned else None, *ends[:-1]]
        told = zip(numbers, probs, starts, ends, strict=True)
        return [Token(*one) for one in told if one[0] < self._tokenizer.eos_token_id], float(logprobs.mean())

    def _words(self, tokens: Sequence[Token], language: str, start_s: float, end_s: float) -> Iterator[Word]:
        from transformers.models.whisper.tokenization_whisper import LANGUAGES, _combine_tokens_into_words

        numbers = [token.number for token in tokens]
        texts, _, places = _combine_tokens_into_words(self._tokenizer, numbers, LANGUAGES.get(language, language))
        whole, said = max(1, sum(map(len, texts))), 0
        for text, of in zip(texts, places, strict=True):
            mine = [tokens[place] for place in of]
            from_s, to_s = mine[0].start_s, mine[-1].end_s
            if from_s is None or to_s is None:
                from_s = start_s + (end_s - start_s) * said / whole
                to_s = start_s + (end_s - start_s) * (said + len(text)) / whole
            said += len(text)
            yield Word(from_s, max(from_s, to_s), text, float(np.mean([token.prob for token in mine])))

    @property
    def _aligned(self) -> bool:
        return bool(self._told.get("alignment_heads"))

    @cached_property
    def _languages(self) -> dict[str, int]:
        """Tokens of languages by their codes; empty for a model of English alone."""
        if not self._told.get("is_multilingual", True):
            return {}
        return {token.strip("<|>"): int(number) for token, number in self._told["lang_to_id"].items()}

    @cached_property
    def _model(self) -> Any:
        from avrec_dag.encoders.hub.network import loaded, transformers

        model = loaded(self.folder, devices.place(), "WhisperForConditionalGeneration")
        # Of tuned models the file often calls itself derived, and is then passed over with all that it tells of tokens.
        model.generation_config = transformers.GenerationConfig.from_dict(self._told | {"_from_model_config": False})
        if self._aligned:  # generate would switch to it in the middle of the first call, and the second would differ in a decimal
            model.set_attn_implementation("eager")
        return model

    @cached_property
    def _tokenizer(self) -> Any:
        from avrec_dag.encoders.hub.network import SAFE, quiet, transformers

        with quiet():
            return transformers.WhisperTokenizer.from_pretrained(self.folder.path, **SAFE)

    @cached_property
    def _extractor(self) -> Any:
        from avrec_dag.encoders.hub.network import SAFE, quiet, transformers

        with quiet():
            return transformers.WhisperFeatureExtractor.from_pretrained(self.folder.path, **SAFE)


def _settings(folder: ModelFolder) -> dict[str, Any]:
    """What `generation_config.json` tells, without which neither times nor languages can be read from a model's tokens."""
    told = folder.json("generation_config.json")
    wanted = ["no_timestamps_token_id", *(["lang_to_id", "task_to_id"] if told.get("is_multilingual", True) else [])]
    lacking = [name for name in wanted if not told.get(name)]
    if lacking:
        raise SettingError(
            f"{folder.name}: {folder.path}/generation_config.json does not tell {', '.join(lacking)}; get the whole model with "
            f"`{folder.spec.install}`, or take that file from the model it was tuned from"
        )
    return told
