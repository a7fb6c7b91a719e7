"""Text encoders: multilingual E5, BGE-M3, Qwen3-Embedding, and whatever sentence-transformers knows to pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from avrec_dag.encoders import devices
from avrec_dag.encoders.base import Matrix
from avrec_dag.encoders.hub.folder import ModelFolder
from avrec_dag.errors import SettingError

CPU_BATCH, CARD_BATCH = 16, 128
MOST_TOKENS = 2048
"""Of a longer text the beginning counts: titles and descriptions are far shorter, and memory stays bounded."""
INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
Pool = Literal["cls", "mean", "last", "max"]
_POOLS: dict[str, Pool] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True)
class Usage:
    """How a model's authors mean it to be used.

    Attributes:
        pool: Which tokens make the vector: the first, the mean of all, the last, the largest of each number.
        query: What stands before a query.
        passage: What stands before a text that is looked for.
        most_tokens: Of a longer text the beginning counts.
    """

    pool: Pool
    query: str
    passage: str
    most_tokens: int


def usage(folder: ModelFolder) -> Usage:
    """From the files that sentence-transformers keeps beside a model; where there are none, by its family.

    E5 wants "query: " and "passage: " before its texts (Wang et al. 2024, arXiv 2402.05672), Qwen3-Embedding an instruction before
    queries (Zhang et al. 2025). Families are told by the model's name, so keep it in the name of a folder.

    Raises:
        SettingError: The model has a part after pooling that is not run here, or pools in another way.
    """
    name, told = (
        f"{folder.name} {folder.json('config.json').get('_name_or_path', '')}".lower(),
        folder.json("config_sentence_transformers.json"),
    )
    query, passage = _prefixes(name, told)
    most = folder.json("sentence_bert_config.json").get("max_seq_length") or MOST_TOKENS
    return Usage(_pool(folder, name), query, passage, min(int(most), MOST_TOKENS))


def _prefixes(name: str, told: dict[str, Any]) -> tuple[str, str]:
    prompts: dict[str, str] = told.get("prompts") or {}
    if any(prompts.values()):
        usual = prompts.get(told.get("default_prompt_name") or "", "")
        return prompts.get("query", usual), prompts.get("document") or prompts.get("passage") or usual
    if "e5" in name.replace("-", "/").replace("_", "/").replace(" ", "/").split("/"):
        return (f"{INSTRUCTION} ", "") if "instruct" in name else ("query: ", "passage: ")
    return (INSTRUCTION, "") if "qwen3-embedding" in name else ("", "")


def _pool(folder: ModelFolder, name: str) -> Pool:
    if not (folder.path / "modules.json").is_file():
        return "last" if folder.model_type == "qwen3" else "cls" if "bge" in name else "mean"
    import json

    modules = json.loads((folder.path / "modules.json").read_text(encoding="utf-8"))
    kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
    strange = sorted(kinds.keys() - {"Transformer", "Pooling", "Normalize"})
    if strange or "Pooling" not in kinds:
        raise SettingError(f"{folder.name} has parts that are not run here ({', '.join(strange) or 'no pooling'}); use another text model")
    config = folder.json(f"{kinds['Pooling']}/config.json")
    chosen = [mode for mode, on in config.items() if mode.startswith("pooling_mode_") and on is True]
    named = str(config.get("pooling_mode", ""))
    pool = _POOLS.get(chosen[0]) if len(chosen) == 1 else {"lasttoken": "last"}.get(named, named) if not chosen else None
    if pool not in ("cls", "mean", "last", "max") or config.get("include_prompt") is False:
        raise SettingError(f"{folder.name} pools its tokens as {', '.join(chosen) or named or 'nobody says'}, which is not done here")
    return pool


class Texts:
    """A text encoder of the hub; its weights load at first use."""

    def __init__(self, folder: ModelFolder) -> None:
        self.folder, self.spec, self.usage = folder, folder.spec, usage(folder)

    @property
    def device(self) -> str:
        """`cpu` or `cuda`."""
        return devices.device()

    def encode(self, batch: Sequence[str]) -> Matrix:
        """Texts that are looked for -> float32 (n, dim), unit length."""
        return self._encoded([self.usage.passage + text for text in batch])

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Queries -> float32 (n, dim), unit length."""
        return self._encoded([self.usage.query + text for text in texts])

    def _encoded(self, texts: list[str]) -> Matrix:
        """Texts of like lengths together, so that little is padded."""
        order = sorted(range(len(texts)), key=lambda number: -len(texts[number]))
        vectors = np.zeros((len(texts), self.spec.dim), np.float32)
        if texts:
            vectors[order] = self._network([texts[number] for number in order])
        return vectors

    @cached_property
    def _network(self) -> Any:
        from avrec_dag.encoders.hub.network import Network, loaded, most_at_once

        model, device = loaded(self.folder, devices.place()), devices.place()
        pool = _pooling(self.usage.pool)

        def forward(**tokens: Any) -> Any:
            return pool(model(**tokens).last_hidden_state, tokens["attention_mask"])

        return Network(self.spec.name, self.spec.dim, forward, self._tokens, device, most_at_once(CPU_BATCH, CARD_BATCH))

    @cached_property
    def _tokenizer(self) -> Any:
        from avrec_dag.encoders.hub.network import SAFE, quiet, transformers

        with quiet():
            # Padding at the end: attention does not look ahead, and positions count from the first word.
            tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.folder.path, padding_side="right", **SAFE)
        if tokenizer.pad_token is None:
            raise SettingError(
                f"{self.spec.name}: its tokenizer has no token to pad with, so texts cannot be put together; use another model"
            )
        return tokenizer

    @cached_property
    def _most_tokens(self) -> int:
        config = self.folder.json("config.json")
        positions = int(config.get("max_position_embeddings") or MOST_TOKENS)
        reserved = 2 if self.folder.model_type in ("xlm-roberta", "roberta", "camembert") else 0  # they count positions from 2
        return min(self.usage.most_tokens, positions - reserved, self._tokenizer.model_max_length)

    def _tokens(self, texts: Sequence[str]) -> dict[str, Any]:
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=self._most_tokens, return_tensors="pt")
        return {name: tokens[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in tokens}


def _pooling(how: Pool) -> Any:
    """Tokens (n, t, d) and which of them are words (n, t) -> vectors (n, d), in float32: half precision cannot add long texts."""
    from avrec_dag.encoders.hub.network import torch

    def pool(tokens: Any, mask: Any) -> Any:
        tokens, words = tokens.float(), mask[..., None].bool()
        if how == "cls":
            return tokens[:, 0]
        if how == "max":
            return tokens.masked_fill(~words, -torch.inf).amax(dim=1)
        if how == "last":
            return tokens[torch.arange(len(tokens), device=tokens.device), mask.sum(dim=1) - 1]
        return (tokens * words).sum(dim=1) / words.sum(dim=1)

    return pool
