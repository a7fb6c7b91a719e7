"""Models of the hub give what transformers itself gives, in batches of any mixture, and refuse what would be a wrong number."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from avrec_dag.encoders import hub, registry
from avrec_dag.encoders.base import Encoder, Matrix, QueryEncoder, WaveformTagger, unit_rows
from avrec_dag.encoders.hub.folder import model_folder
from avrec_dag.encoders.hub.texts import usage
from avrec_dag.errors import AvrecError, SettingError
from tests import hub_models

PICTURE_MODELS = ("siglip", "siglip2", "clip")
CLASSES = ["a photo of a dog", "rain", "piano music speech", "the sound of a storm"]
TEXTS = ["a photo of a dog", "", "rain rain", "The Sound of a piano storm music speech " * 9, "一只猫", "red green blue square " * 3]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Folder of a tiny model by the name of its maker; made once."""
    base = tmp_path_factory.mktemp("hub")

    def folder(maker: str) -> str:
        path = base / maker
        if not path.exists():
            getattr(hub_models, maker)(path)
        return str(path)

    return folder


def pictures() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in [(40, 60), (1, 1), (3, 5), (200, 100), (32, 32), (1, 90)]]


def sounds() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.1, n).astype(np.float32) for n in (48000, 4800, 1, 24001, 48000)]


def batch_for(encoder: Encoder) -> list[Any]:
    return {"frame": pictures, "audio": sounds, "text": lambda: TEXTS}[encoder.spec.modality]()


@pytest.mark.parametrize("maker", [*PICTURE_MODELS, "clap", "bert_like", "qwen3"])
def test_an_encoder_keeps_the_protocol_and_a_batch_is_what_its_parts_are_alone(models: Callable[[str], str], maker: str) -> None:
    encoder = registry.load(models(maker))
    assert encoder is registry.load(models(maker))
    batch = batch_for(encoder)
    vectors = encoder.encode(batch)
    assert vectors.shape == (len(batch), encoder.spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.concatenate([encoder.encode(batch[number : number + 1]) for number in range(len(batch))])
    np.testing.assert_allclose(vectors, alone, atol=1e-4)
    assert encoder.encode([]).shape == (0, encoder.spec.dim)
    assert encoder.device == "cpu"


@pytest.mark.parametrize("maker", PICTURE_MODELS)
def test_pictures_and_captions_score_as_in_transformers_own_pipeline(models: Callable[[str], str], maker: str) -> None:
    import torch
    from transformers import pipeline

    ours = registry.load(models(maker))
    classify: Any = pipeline("zero-shot-image-classification", model=models(maker), image_processor_kwargs={"backend": "pil"})
    model = classify.model
    cosines = ours.encode(pictures()) @ ours.encode_texts(CLASSES).T  # type: ignore[attr-defined]
    logits = torch.from_numpy(cosines) * model.logit_scale.exp().detach()
    scores = logits.softmax(dim=1) if maker == "clip" else (logits + model.logit_bias.detach()).sigmoid()
    for picture, found in zip(pictures(), scores.numpy(), strict=True):
        theirs = {
            one["label"]: one["score"] for one in classify(Image.fromarray(picture), candidate_labels=CLASSES, hypothesis_template="{}")
        }
        np.testing.assert_allclose(found, [theirs[name] for name in CLASSES], atol=1e-3)


@pytest.mark.parametrize("maker", PICTURE_MODELS)
def test_vectors_are_those_of_the_model_called_with_one_picture_after_the_other(models: Callable[[str], str], maker: str) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModel

    processor, model = AutoImageProcessor.from_pretrained(models(maker)), AutoModel.from_pretrained(models(maker))
    with torch.no_grad():
        one_by_one = [
            model.get_image_features(**processor(images=Image.fromarray(one), return_tensors="pt")).pooler_output for one in pictures()
        ]
    np.testing.assert_allclose(registry.load(models(maker)).encode(pictures()), unit_rows(torch.cat(one_by_one).numpy()), atol=1e-3)


def test_sounds_and_captions_score_as_in_transformers_own_pipeline(models: Callable[[str], str]) -> None:
    import torch
    from transformers import pipeline

    ours: Any = registry.load(models("clap"))
    assert isinstance(ours, WaveformTagger)
    assert (ours.sample_rate_hz, ours.window_s) == (48000, 1.0)
    classify: Any = pipeline("zero-shot-audio-classification", model=models("clap"))
    cosines = ours.encode(sounds()) @ ours.encode_texts(CLASSES).T
    scores = (torch.from_numpy(cosines) * classify.model.logit_scale_a.exp().detach()).softmax(dim=1)
    for sound, found in zip(sounds(), scores.numpy(), strict=True):
        theirs = {one["label"]: one["score"] for one in classify(sound, candidate_labels=CLASSES, hypothesis_template="{}")}
        np.testing.assert_allclose(found, [theirs[name] for name in CLASSES], atol=1e-3)


def test_a_model_that_fuses_long_sounds_gives_the_same_whatever_else_is_in_the_batch(tmp_path: Path) -> None:
    encoder = hub.load(str(hub_models.clap(tmp_path / "fused", fused=True)))
    np.testing.assert_allclose(encoder.encode(sounds()), encoder.encode(sounds()[::-1])[::-1], atol=1e-5)
    long = np.concatenate(sounds()[:1] * 3)
    np.testing.assert_array_equal(encoder.encode([long]), encoder.encode([long[:48000]]))


def test_a_picture_encoder_finds_no_classes_of_its_own(models: Callable[[str], str]) -> None:
    encoder = registry.load_frames(f"packaged+frame={models('clip')}")
    vectors, probs = encoder.tag(pictures())
    assert encoder.classes == ()
    assert probs.shape == (len(vectors), 0)


def pooled(folder: str, texts: Sequence[str], how: str) -> Matrix:
    """One text after the other, by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    rows = []
    for text in texts:
        with torch.no_grad():
            tokens = model(**tokenizer(text, truncation=True, return_tensors="pt")).last_hidden_state[0]
        rows.append({"cls": tokens[0], "mean": tokens.mean(dim=0), "last": tokens[-1], "max": tokens.amax(dim=0)}[how])
    return unit_rows(torch.stack(rows).numpy())


@pytest.mark.parametrize(
    ("maker", "pooling", "how"),
    [
        ("bert_like", None, "mean"),
        ("bert_like", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ("bert_like", {"pooling_mode_max_tokens": True}, "max"),
        ("bert_like", {"pooling_mode_lasttoken": True}, "last"),
        ("bert_like", {"pooling_mode": "lasttoken"}, "last"),
        ("qwen3", None, "last"),
    ],
)
def test_texts_are_pooled_as_their_files_say(tmp_path: Path, maker: str, pooling: dict[str, object] | None, how: str) -> None:
    folder = getattr(hub_models, maker)(tmp_path / "model")
    if pooling is not None:
        hub_models.modules(folder, pooling, "Normalize")
    encoder = hub.load(str(folder))
    np.testing.assert_allclose(encoder.encode(TEXTS), pooled(str(folder), TEXTS, how), atol=1e-3)
    assert isinstance(encoder, QueryEncoder)
    np.testing.assert_array_equal(encoder.encode_queries(TEXTS), encoder.encode(TEXTS))  # nothing told of prefixes


@pytest.mark.parametrize(
    ("name", "pool", "query", "passage"),
    [
        ("multilingual-e5-small", "mean", "query: ", "passage: "),
        ("multilingual-e5-large-instruct", "mean", "Instruct: Given", ""),
        ("Qwen3-Embedding-0.6B", "mean", "Instruct: Given", ""),
        ("bge-m3", "cls", "", ""),
        ("le5ser", "mean", "", ""),
    ],
)
def test_a_family_is_told_by_its_name_and_gets_the_words_it_was_trained_with(
    tmp_path: Path, name: str, pool: str, query: str, passage: str
) -> None:
    folder = hub_models.bert_like(tmp_path / name)
    found = usage(model_folder(str(folder)))
    assert found.pool == pool
    assert found.query.startswith(query)
    assert bool(found.query) == bool(query)
    assert found.passage == passage
    encoder: Any = hub.load(str(folder))
    np.testing.assert_allclose(encoder.encode(["rain"]), pooled(str(folder), [f"{passage}rain"], pool), atol=1e-3)
    np.testing.assert_allclose(encoder.encode_queries(["rain"]), pooled(str(folder), [f"{found.query}rain"], pool), atol=1e-3)


def test_prompts_beside_a_model_come_before_what_its_name_says(tmp_path: Path) -> None:
    folder = hub_models.bert_like(tmp_path / "e5")
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "find ", "document": ""}}')
    assert usage(model_folder(str(folder))).query == "find "
    assert usage(model_folder(str(folder))).passage == ""


@pytest.mark.parametrize(
    ("pooling", "more", "told"),
    [
        ({"pooling_mode_mean_tokens": True}, ["Dense"], "parts that are not run here .Dense."),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, [], "pools its tokens as"),
        ({"pooling_mode_weightedmean_tokens": True}, [], "pools its tokens as"),
        ({}, [], "nobody says"),
    ],
)
def test_what_is_not_done_here_is_refused(tmp_path: Path, pooling: dict[str, object], more: list[str], told: str) -> None:
    folder = hub_models.bert_like(tmp_path / "model")
    hub_models.modules(folder, pooling, *more)
    with pytest.raises(SettingError, match=told):
        hub.load(str(folder))


class ShortOfMemory:
    """Stands before a model's function and runs out of memory above some size of batch, as a graphics card does."""

    def __init__(self, forward: Callable[..., Any], most: int) -> None:
        self.forward, self.most, self.tried = forward, most, []

    def __call__(self, **inputs: Any) -> Any:
        import torch

        size = len(next(iter(inputs.values())))
        self.tried.append(size)
        if size > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.forward(**inputs)


def test_a_batch_halves_when_memory_runs_out_and_stays_so(models: Callable[[str], str]) -> None:
    from avrec_dag.encoders.hub.network import Network

    encoder: Any = registry.load(models("clip"))
    many = pictures() * 3
    short = ShortOfMemory(encoder._model.get_image_features, 3)
    network = Network("clip", 24, short, encoder._pixels, "cpu", 16)
    np.testing.assert_allclose(network(many), encoder.encode(many), atol=1e-5)
    assert short.tried == [16, 8, 4, *[2] * 9]
    short.tried.clear()
    network(many[:4])
    assert short.tried == [2, 2]
    with pytest.raises(AvrecError, match="memory of cpu does not suffice for one input"):
        Network("clip", 24, ShortOfMemory(short.forward, 0), encoder._pixels, "cpu", 2)(many)


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    from avrec_dag.encoders.hub.network import Network

    def broken(**_: Any) -> Any:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Network("x", 2, broken, lambda _: {}, "cpu", 4)([1, 2])


def test_numbers_that_are_none_and_vectors_of_another_length_are_refused(models: Callable[[str], str]) -> None:
    import torch

    from avrec_dag.encoders.hub.network import Network

    def spoilt(**_: Any) -> torch.Tensor:
        return torch.tensor([[1.0, 2.0], [float("nan"), 0.0]])

    with pytest.raises(AvrecError, match="gives NaN or infinity for 1 of 2 inputs"):
        Network("x", 2, spoilt, lambda _: {}, "cpu", 2)([1, 2])
    with pytest.raises(SettingError, match=r"gives vectors \(2, 2\), but its files promise \(2, 3\)"):
        Network("x", 3, spoilt, lambda _: {}, "cpu", 2)([1, 2])


def test_weights_that_are_damaged_or_absent_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = hub_models.clip(tmp_path / "clip")
    weights = load_file(folder / "model.safetensors")
    whole = {name: tensor.clone() for name, tensor in weights.items()}
    whole["visual_projection.weight"] = whole["visual_projection.weight"] * float("nan")
    save_file(whole, folder / "model.safetensors")
    with pytest.raises(AvrecError, match="NaN or infinity"):
        hub.load(str(folder)).encode(pictures()[:1])
    del whole["text_projection.weight"]
    save_file(whole, folder / "model.safetensors")
    with pytest.raises(SettingError, match="lacks 1 of its weights, the first is text_projection"):
        hub.load(str(folder)).encode(pictures()[:1])


def test_compiling_changes_nothing(models: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Any = registry.load(models("clip"))
    monkeypatch.setenv("AVREC_COMPILE", "eager")  # torch.compile with a backend that needs no compiler of C++
    from avrec_dag.encoders.hub.network import Network

    compiled = Network("clip", 24, plain._model.get_image_features, plain._pixels, "cpu", 4)
    assert compiled._forward is not plain._model.get_image_features
    np.testing.assert_allclose(compiled(pictures()), plain.encode(pictures()), atol=1e-4)


def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from avrec_dag.encoders.hub.network import precision

    assert precision("cpu") == torch.float32
    for has, expected in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has: has)
        assert precision("cuda:1") == expected


def test_definitions_of_a_hub_preset_load_neither_torch_nor_transformers(models: Callable[[str], str], tmp_path: Path) -> None:
    preset = f"packaged+frame={models('siglip')}+audio={models('clap')}+text={models('qwen3')}"
    code = f"""
import sys
from avrec_dag.encoders.registry import preset
preset({preset!r}).recipe()
assert not {{"torch", "transformers"}} & sys.modules.keys(), sorted(sys.modules)
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"AVREC_CACHE": str(tmp_path), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    )
