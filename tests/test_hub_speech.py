"""A Whisper of the hub as speech recogniser: the words and times transformers itself gives, and a sentence for what will not do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from avrec_dag import synthetic
from avrec_dag.encoders import devices, doctor, events, hub, recognition
from avrec_dag.encoders.hub.speech import SAMPLE_RATE_HZ
from avrec_dag.encoders.transcripts import Transcribe
from avrec_dag.errors import AvrecError, SettingError
from avrec_dag.items import Item
from resources.profiles import Settings
from tests import hub_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_models.whisper(tmp_path_factory.mktemp("hub") / "whisper")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def recogniser(folder: Path) -> recognition.Recogniser:
    return recognition.load(f"hub:{folder}")


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


def edit(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads((folder / file).read_text())
    change(told)
    (folder / file).write_text(json.dumps(told))


def test_words_and_their_times_are_those_of_transformers_own_pipeline(folder: Path) -> None:
    from transformers import pipeline

    samples = sound(30)  # of a shorter sound the pipeline listens to the silence after it as well
    theirs: Any = pipeline("automatic-speech-recognition", model=str(folder))(
        {"raw": samples, "sampling_rate": SAMPLE_RATE_HZ}, return_timestamps="word", generate_kwargs={"language": "en", "num_beams": 1}
    )
    heard = recogniser(folder).recognise(samples, "en")
    words = [word for sentence in heard.sentences for word in sentence.words]
    assert "".join(sentence.text for sentence in heard.sentences) == theirs["text"]
    assert len(words) > 2
    assert max(word.end_s for word in words) > 0
    for chunk in theirs["chunks"]:  # the pipeline joins what two segments say without a space between them
        mine = [words.pop(0)]
        while len("".join(word.text for word in mine)) < len(chunk["text"]):
            mine.append(words.pop(0))
        assert "".join(word.text for word in mine) == chunk["text"]
        assert (mine[0].start_s, mine[-1].end_s) == pytest.approx(chunk["timestamp"], abs=0.006)
    assert not words


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_text_is_that_of_generate_with_the_same_settings(folder: Path, language: str) -> None:
    import torch
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor: Any = WhisperProcessor.from_pretrained(folder)
    model: Any = WhisperForConditionalGeneration.from_pretrained(folder)
    for samples in (sound(3), sound(7.02, 1)):
        features = processor(samples, sampling_rate=SAMPLE_RATE_HZ, padding=False, return_tensors="pt").input_features
        with torch.no_grad():
            found = model.generate(features, language=language, task="transcribe", return_timestamps=True)
        (text,) = processor.batch_decode(found, skip_special_tokens=True)
        assert text
        assert "".join(one.text for one in recogniser(folder).recognise(samples, language).sentences) == text


def test_the_same_samples_are_heard_alike_and_all_numbers_are_possible(folder: Path) -> None:
    first, second = recogniser(folder).recognise(sound(4)), recogniser(folder).recognise(sound(4))
    assert first == second
    assert recogniser(folder) is recogniser(folder)
    for sentence in first.sentences:
        assert sentence.avg_logprob < 0 <= sentence.no_speech_prob <= 1
        assert all(0 <= word.start_s <= word.end_s and 0 <= word.prob <= 1 for word in sentence.words)
        assert "".join(word.text for word in sentence.words) == sentence.text


def test_a_language_is_detected_as_transformers_does_and_can_be_told(folder: Path) -> None:
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor: Any = WhisperProcessor.from_pretrained(folder)
    model: Any = WhisperForConditionalGeneration.from_pretrained(folder)
    samples = sound(30)
    features = processor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
    heard = recogniser(folder).recognise(samples)
    assert f"<|{heard.language}|>" == processor.tokenizer.decode(model.detect_language(features))
    assert 1 / len(hub_models.WHISPER_LANGUAGES) <= heard.language_prob < 1
    other = next(one for one in hub_models.WHISPER_LANGUAGES if one != heard.language)
    told = recogniser(folder).recognise(samples, other)
    assert (told.language, told.language_prob) == (other, 1.0)
    assert told.sentences != heard.sentences
    with pytest.raises(AvrecError, match="knows no language 'fr'; it knows de, en, zh"):
        recogniser(folder).recognise(samples, "fr")


def test_avg_logprob_is_that_by_which_transformers_decides_whether_to_try_again(folder: Path) -> None:
    made: Any = recogniser(folder)
    heard, model = made.recognise(sound(2), "en"), made._model
    found = model.generate(
        made._features(sound(2)), language="en", task="transcribe", return_timestamps=True, return_segments=True,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    result = found["segments"][0][0]["result"]
    chosen = result["sequences"][-len(result["scores"]) :]
    assert heard.sentences[0].avg_logprob == pytest.approx(float(model._retrieve_avg_logprobs(result["scores"], chosen, 0.0)), rel=1e-4)


@pytest.mark.parametrize("n_samples", [0, 1, 159, 16001, 479_999, 480_000])
def test_samples_of_any_length_up_to_thirty_seconds_are_heard(folder: Path, n_samples: int) -> None:
    assert recogniser(folder).recognise(np.zeros(n_samples, np.float32)).language in hub_models.WHISPER_LANGUAGES


def test_more_than_it_hears_at_once_is_refused(folder: Path) -> None:
    with pytest.raises(AvrecError, match=r"hears 30 s at once, not 31\.0 s"):
        recogniser(folder).recognise(sound(31))


def test_without_alignment_heads_words_share_the_time_of_their_segment(tmp_path: Path) -> None:
    folder = hub_models.whisper(tmp_path / "whisper", aligned=False)
    made: Any = recogniser(folder)
    words = list(made._words([hub.speech.Token(number, 0.5) for number in made._tokenizer.encode(" ab abcd", add_special_tokens=False)],
                             "en", 2.0, 10.0))  # fmt: skip
    assert [(word.text, word.start_s, word.end_s, word.prob) for word in words] == [(" ab", 2.0, 5.0, 0.5), (" abcd", 5.0, 10.0, 0.5)]
    (first, *_) = made.recognise(sound(3), "en").sentences
    assert first.words[-1].end_s > first.words[0].start_s


def test_settings_that_call_themselves_derived_are_read_all_the_same(folder: Path, copy: Path) -> None:
    edit(copy, "generation_config.json", lambda told: told.update(_from_model_config=True))
    assert recogniser(copy).recognise(sound(2)) == recogniser(folder).recognise(sound(2))


def test_a_model_of_english_alone_hears_english(tmp_path: Path) -> None:
    made = recogniser(hub_models.whisper(tmp_path / "whisper", multilingual=False))
    heard = made.recognise(sound(2), "zh")
    assert (heard.language, heard.language_prob) == ("en", 1.0)
    assert heard.sentences


def test_memory_that_does_not_suffice_is_told_in_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def short(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    made: Any = recogniser(folder)
    monkeypatch.setattr(made._model, "generate", short)
    with pytest.raises(AvrecError, match="memory of cpu does not suffice for one input"):
        made.recognise(sound(1))


def test_what_is_no_whisper_or_not_here_is_refused_with_what_to_do(tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "nothing"))
    clip = hub_models.clip(tmp_path / "clip")

    def refused(setting: str, told: str) -> None:
        for ask in (recognition.chosen, recognition.load):
            with pytest.raises(SettingError, match=told):
                ask(setting)

    example = hub.EXAMPLES["speech"]
    refused(f"hub:{example}", f"the model {example} is not on this machine; get it with `hf download {example}`")
    refused(f"hub:{clip}", rf"is a picture-text model \(clip\), but a speech recogniser .* is wanted.*`hf download {example}`")
    refused("hub:", f"names no speech recogniser; use auto, off, packaged, or hub:NAME as in hub:{example}")
    with pytest.raises(SettingError, match=f"name it in AVREC_SPEECH=hub:{copy}"):
        hub.load(str(copy))
    edit(copy, "generation_config.json", lambda told: [told.pop(name) for name in ("lang_to_id", "no_timestamps_token_id")])
    refused(f"hub:{copy}", "does not tell no_timestamps_token_id, lang_to_id; get the whole model")
    (copy / "model.safetensors").unlink()
    refused(f"hub:{copy}", r"there are no weights \(model.safetensors\)")


def test_weights_that_lack_some_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = {name: tensor.clone() for name, tensor in load_file(copy / "model.safetensors").items()}
    del weights["model.encoder.layer_norm.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(SettingError, match=r"lacks 1 of its weights, the first is model.encoder.layer_norm.weight"):
        recogniser(copy).recognise(sound(1))


def test_a_day_is_transcribed_by_the_model_that_the_setting_names(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic.clip(tmp_path / "a.wav", kind="waves", seed=1, duration_s=3)
    monkeypatch.setattr(events, "speech", lambda samples: [(0.0, len(samples) / SAMPLE_RATE_HZ)])
    task = Transcribe(str(tmp_path), f"hub:{folder}")
    row, again = (task([Item("a.wav", "v1", "2026-01-01", {"audio_spectrograms": {"speech_share": 1.0}})])[0] for _ in range(2))
    assert row.error is None
    assert row.values["text"]
    assert row.values["words"]
    assert row.values["model"] == hub.spec(str(folder)).identity
    assert row == again
    assert not task.on_card
    monkeypatch.setattr(devices, "device", lambda: "cuda")
    assert task.on_card


def test_recipe_and_doctor_know_the_model_and_other_weights_are_another(folder: Path, copy: Path) -> None:
    setting = f"hub:{folder}"
    assert Settings.from_env({"AVREC_SPEECH": setting}).recipe().speech == hub.spec(str(folder)).identity
    edit(copy, "generation_config.json", lambda told: told.update(max_length=12))
    assert hub.spec(str(copy)).digest != hub.spec(str(folder)).digest
    (told,) = [one for one in doctor.findings(recogniser=setting) if one.name == "speech recogniser"]
    assert told.ok
    assert told.detail.startswith(f"{folder}, digest ")
    (absent,) = [one for one in doctor.findings(recogniser="hub:/nowhere/w") if one.name == "speech recogniser"]
    assert (absent.ok, absent.remedy) == (False, "hf download NAME --local-dir /nowhere/w")
