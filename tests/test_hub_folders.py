"""What a model's files say of it, and the sentence for each way in which they will not do."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from avrec_dag.encoders import hub, registry
from avrec_dag.encoders.hub.folder import model_folder
from avrec_dag.errors import SettingError
from tests import hub_models


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_models.clip(tmp_path_factory.mktemp("hub") / "clip")


@pytest.fixture
def copy(clip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip, tmp_path / "copy"))


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that never downloaded a model."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "nothing"))


def refused(name: object, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        hub.spec(str(name))


def test_a_name_with_a_slash_means_the_hub_or_a_folder(clip: Path) -> None:
    assert hub.is_hub_name("google/siglip2-base-patch16-224")
    assert hub.is_hub_name("./clip")
    assert not hub.is_hub_name("efficientnet-lite0")
    spec = hub.spec(str(clip))
    assert (spec.modality, spec.dim, spec.paired) == ("frame", 24, True)
    assert spec.identity == f"{clip}@{spec.digest[:12]}"


def test_the_digest_follows_weights_configuration_tokenizer_and_preparation_and_nothing_else(copy: Path) -> None:
    digest = hub.spec(str(copy)).digest
    (copy / "README.md").write_text("another")
    assert hub.spec(str(copy)).digest == digest
    seen = {digest}
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        told = json.loads((copy / name).read_text())
        (copy / name).write_text(json.dumps({**told, "note": name}))
        seen.add(hub.spec(str(copy)).digest)
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    seen.add(hub.spec(str(copy)).digest)
    assert len(seen) == 5


def test_the_digest_is_hashed_once_and_belongs_to_files_not_to_their_folder(
    copy: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    assert hub.spec(str(copy)).digest == hub.spec(str(clip)).digest
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert hub.spec(str(copy)).digest == hub.spec(str(clip)).digest


def test_a_model_that_changed_its_length_under_the_same_name_has_another_identity_and_an_old_one_in_use_is_noticed(tmp_path: Path) -> None:
    name = str(hub_models.siglip(tmp_path / "siglip", dim=32))
    before, old = hub.spec(name), hub.load(name)
    shutil.rmtree(name)
    hub_models.siglip(Path(name), dim=16)
    assert hub.spec(name).dim == 16
    assert hub.spec(name).identity != before.identity
    assert hub.load(name) is not old
    with pytest.raises(SettingError, match="changed on disk while it was in use"):
        old.encode([hub_models.picture()])


def test_pickles_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    refused(copy, r"has its weights as pickles only \(pytorch_model\.bin\).*safetensors")


def test_pickles_beside_safetensors_are_left_alone(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04 a pickle that nobody opens")
    registry.load(str(copy)).encode([hub_models.picture()])


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_code_beside_a_model_is_refused(copy: Path, file: str) -> None:
    told = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps({**told, "auto_map": {"AutoModel": "modeling.Evil"}}))
    refused(copy, rf"wants to run code of its own \({file} has auto_map\)")


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda path: (path / "config.json").unlink(), "there is no config.json"),
        (lambda path: (path / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda path: (path / "config.json").write_text("[1]"), "holds no JSON object"),
        (lambda path: (path / "model.safetensors").unlink(), r"there are no weights \(model\.safetensors\)"),
        (lambda path: (path / "model.safetensors").write_bytes(b"\xff" * 64), "is no file of safetensors"),
        (lambda path: (path / "model.safetensors").write_bytes(struct.pack("<Q", 9) + b'{"a": 1}}'), "is no file of safetensors"),
        (lambda path: (path / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}"), "its weights have no tensor"),
        (lambda path: [(path / name).unlink() for name in ("tokenizer.json",)], "there is no tokenizer"),
        (lambda path: (path / "preprocessor_config.json").unlink(), "there is no preprocessor_config.json"),
        (lambda path: (path / "config.json").write_text('{"model_type": "llava", "vision_config": {}}'), "a model of type 'llava'"),
        (lambda path: (path / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}'), "a model of type 't5'"),
    ],
)
def test_a_folder_that_will_not_do_is_told_in_one_sentence(copy: Path, break_it: Callable[[Path], object], told: str) -> None:
    break_it(copy)
    refused(copy, told)


def test_weights_in_several_files_are_all_wanted_and_never_outside_the_folder(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    index = copy / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}))
    refused(copy, "1 of 2 files of weights are missing")
    index.write_text(json.dumps({"weight_map": {"a": "../copy/model-00001-of-00002.safetensors"}}))
    refused(copy, "1 of 1 files of weights are missing")
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}))
    assert hub.spec(str(copy)).dim == 24


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("google/siglip2-base-patch16-224", r"is not on this machine; get it with `hf download google/siglip2-base-patch16-224`"),
        ("BAAI/bge-m3@refs/pr/130", r"get it with `hf download BAAI/bge-m3 --revision refs/pr/130`"),
        ("/nowhere/clap", r"there is no folder /nowhere/clap; .*hf download NAME --local-dir /nowhere/clap"),
        ("a b/c", "is no name of a model"),
        ("a/b/c", "is no name of a model"),
    ],
)
def test_a_model_that_is_not_here_comes_with_the_command_that_gets_it(empty_hub: None, name: str, told: str) -> None:
    refused(name, told)


def test_a_downloaded_model_is_found_by_its_name(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    kept = tmp_path / "models--some--clip"
    shutil.copytree(clip, kept / "snapshots" / ("a" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert hub.spec("some/clip").dim == 24
    assert model_folder("some/clip").path == kept / "snapshots" / ("a" * 40)
    assert registry.load("some/clip").encode([hub_models.picture()]).shape == (1, 24)


def test_the_preset_names_every_model_that_is_missing_with_one_command(empty_hub: None) -> None:
    told = (
        "get them with `hf download google/siglip2-so400m-patch16-384 && hf download laion/larger_clap_general && "
        "hf download Qwen/Qwen3-Embedding-0.6B`"
    )
    with pytest.raises(SettingError, match=told):
        registry.preset("hub")


def test_each_part_of_a_preset_can_be_chosen(clip: Path, tmp_path: Path, empty_hub: None) -> None:
    clap, text = hub_models.clap(tmp_path / "clap"), hub_models.bert_like(tmp_path / "e5")
    whole = registry.preset(f"hub+frame={clip}+audio={clap}+text={text}")
    assert [spec.name for spec in (whole.frame, whole.audio, whole.text)] == [str(clip), str(clap), str(text)]
    assert [spec.dim for spec in whole.joint_blocks] == [24, 20, 32]
    assert whole.recipe()["joint_space"] == "+".join(spec.identity for spec in whole.joint_blocks)
    packaged = registry.preset("packaged")
    assert registry.preset(f"packaged+{clip}").frame == whole.frame
    assert registry.preset(f"packaged+{clip}").text == packaged.text
    assert registry.preset(f"hub+frame=efficientnet-lite0+audio=yamnet+text={text}").audio.name == "yamnet"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("packaged+picture=efficientnet-lite0", "'picture' is no modality; use frame, audio, text"),
        ("packaged+frame=yamnet", "yamnet encodes audio, not frame"),
        ("packaged+frame=nothing", "no encoder is called 'nothing'.*a folder needs a slash in it"),
        ("packaged+text=CLIP", r"is a picture-text model \(clip\), but a text model .* is wanted for text; .*hf download Qwen"),
        ("packaged+audio=CLIP", r"is a picture-text model \(clip\), but a sound-text model \(CLAP\) is wanted for audio"),
        ("everything", "no set of encoders"),
    ],
)
def test_a_setting_that_cannot_be_is_told_in_one_sentence(clip: Path, setting: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        registry.preset(setting.replace("CLIP", str(clip)))


def test_without_the_extra_the_sentence_says_how_to_install_it(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == "transformers" else find(name, package))
    refused(clip, r"not installed; pip install 'avrec_dag\[hub\]'")
