"""Tiny models of the hub's architectures with random weights, made from their configurations and saved as the hub keeps them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = (
    "a", "an", "the", "of", "photo", "sound", "dog", "cat", "rain", "piano", "query", "passage", ":", "bird", "tree", "car", "engine",
    "storm", "music", "speech", "red", "blue", "green", "square",
)  # fmt: skip
SPECIAL = {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3}
SIDE_PX = 32


def tokenizer(folder: Path, *, max_tokens: int, names: list[str] | None = None, side: str = "right") -> int:
    """A tokenizer of single words that ends every text with </s>; gives how many words it knows."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = SPECIAL | {word: len(SPECIAL) + number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>", model_max_length=max_tokens,
        padding_side=side, model_input_names=names or ["input_ids", "attention_mask"],
    )  # fmt: skip
    fast.save_pretrained(folder)
    return len(vocabulary)


def saved(model: Any, folder: Path) -> Path:
    """Weights large enough that vectors differ by input."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    model.eval().save_pretrained(folder)
    return folder


def seeded() -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def siglip(folder: Path, dim: int = 32) -> Path:
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    seeded()
    vocab = tokenizer(folder, max_tokens=64, names=["input_ids"])
    sizes = {"hidden_size": dim, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": vocab, "max_position_embeddings": 64, "projection_size": dim, "pad_token_id": 0, "bos_token_id": 2,
            "eos_token_id": 3}  # fmt: skip
    vision = {**sizes, "image_size": SIDE_PX, "patch_size": 8}
    SiglipImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
    return saved(SiglipModel(SiglipConfig(text_config=text, vision_config=vision)), folder)


def siglip2(folder: Path) -> Path:
    from transformers import Siglip2Config, Siglip2ImageProcessorPil, Siglip2Model

    seeded()
    vocab = tokenizer(folder, max_tokens=64, names=["input_ids"])
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": vocab, "max_position_embeddings": 64, "projection_size": 32, "pad_token_id": 0, "bos_token_id": 2,
            "eos_token_id": 3}  # fmt: skip
    vision = {**sizes, "patch_size": 8, "num_patches": 16}
    Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return saved(Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)), folder)


def clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    seeded()
    vocab = tokenizer(folder, max_tokens=20)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": vocab, "max_position_embeddings": 20, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    vision = {**sizes, "image_size": SIDE_PX, "patch_size": 8}
    size = {"size": {"shortest_edge": SIDE_PX}, "crop_size": {"height": SIDE_PX, "width": SIDE_PX}}
    CLIPImageProcessorPil(**size).save_pretrained(folder)
    return saved(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)), folder)


def clap(folder: Path, *, fused: bool = False) -> Path:
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    seeded()
    vocab = tokenizer(folder, max_tokens=30)
    audio = {
        "spec_size": 128, "num_mel_bins": 64, "patch_size": 4, "patch_stride": [4, 4], "window_size": 2, "depths": [1, 1],
        "num_attention_heads": [2, 2], "patch_embeds_hidden_size": 16, "hidden_size": 32, "enable_fusion": fused, "num_classes": 4,
        "enable_patch_fusion": fused, "flatten_patch_embeds": True, "aff_block_r": 2,
    }  # fmt: skip
    text = {"vocab_size": vocab, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 34, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}  # fmt: skip
    ClapFeatureExtractor(max_length_s=1, truncation="fusion" if fused else "rand_trunc").save_pretrained(folder)
    return saved(ClapModel(ClapConfig(audio_config=audio, text_config=text, projection_dim=20)), folder)


def bert_like(folder: Path, pooling: dict[str, object] | None = None) -> Path:
    """XLM-RoBERTa, as E5 and BGE-M3 are; `pooling`: sentence-transformers' word on it."""
    from transformers import XLMRobertaConfig, XLMRobertaModel

    seeded()
    vocab = tokenizer(folder, max_tokens=40)
    config = XLMRobertaConfig(
        vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=42,
        pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    if pooling is not None:
        modules(folder, pooling)
    return saved(XLMRobertaModel(config, add_pooling_layer=False), folder)


def modules(folder: Path, pooling: dict[str, object], *more: str) -> None:
    """What sentence-transformers keeps beside a model."""
    listed = [("Transformer", ""), ("Pooling", "1_Pooling"), *((kind, f"{2 + number}_{kind}") for number, kind in enumerate(more))]
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (kind, path) in enumerate(listed)
    ]
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(rows))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **pooling}))


def qwen3(folder: Path) -> Path:
    from transformers import Qwen3Config, Qwen3Model

    seeded()
    vocab = tokenizer(folder, max_tokens=64, side="left")
    config = Qwen3Config(
        vocab_size=vocab, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, max_position_embeddings=64, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    return saved(Qwen3Model(config), folder)


def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (40, 30, 3), dtype=np.uint8)


WHISPER_LANGUAGES = ("en", "zh", "de")
WHISPER_SOURCE, WHISPER_TARGET = 1500, 24


def whisper_tokenizer(folder: Path) -> dict[str, int]:
    """Whisper's tokenizer with bytes alone, its special tokens and its 1501 times; gives the numbers of the special ones."""
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import WhisperTokenizer

    vocabulary = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    names = [
        "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in WHISPER_LANGUAGES), "<|translate|>", "<|transcribe|>",
        "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
    ]  # fmt: skip
    vocabulary |= {name: len(vocabulary) + number for number, name in enumerate(names)}
    made = WhisperTokenizer(vocab=vocabulary, merges=[])
    made.add_tokens([AddedToken(name, special=True) for name in names[1:]], special_tokens=True)
    made.add_tokens([AddedToken(f"<|{0.02 * step:.2f}|>") for step in range(WHISPER_SOURCE + 1)])
    made.save_pretrained(folder)
    return {name: made.convert_tokens_to_ids(name) for name in names}


def whisper(folder: Path, *, aligned: bool = True, multilingual: bool = True) -> Path:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    seeded()
    ids = whisper_tokenizer(folder)
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=ids["<|notimestamps|>"] + 1 + WHISPER_SOURCE + 1, num_mel_bins=80, d_model=16, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=end, bos_token_id=end,
        eos_token_id=end, decoder_start_token_id=start, max_source_positions=WHISPER_SOURCE, max_target_positions=WHISPER_TARGET,
    )  # fmt: skip
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    model = WhisperForConditionalGeneration(config)
    told: dict[str, Any] = {
        "no_timestamps_token_id": ids["<|notimestamps|>"], "max_length": WHISPER_TARGET, "is_multilingual": multilingual,
        "suppress_tokens": [], "begin_suppress_tokens": [end], "max_initial_timestamp_index": 50,
    }  # fmt: skip
    if multilingual:
        told["lang_to_id"] = {f"<|{code}|>": ids[f"<|{code}|>"] for code in WHISPER_LANGUAGES}
        told["task_to_id"] = {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]}
    if aligned:
        told["alignment_heads"] = [[1, 0], [1, 1]]
    told["_from_model_config"] = False  # as the published ones say
    for name, value in told.items():
        setattr(model.generation_config, name, value)
    return saved(model, folder)
