"""Settings of the sequence model, plain values only."""

from dataclasses import dataclass

from avrec_dag.errors import ModelError


@dataclass(frozen=True)
class SequenceSettings:
    """Sizes, rates and limits.

    Attributes:
        members: Networks whose logits are averaged; fewer where `max_seconds` does not suffice.
        width: Length of an item's vector in the first member.
        widening: So many times as long it is in each further one.
        layers: Blocks of the transformer.
        heads: Of attention; divides `width`.
        window: So many of the newest liked events are read.
        kernel: So many events back the filter beside attention looks.
        filter_share: In [0, 1], how much of a block is the filter; the rest is attention.
        dropout: In [0, 1).
        half_support: So many people must have liked an item for its own vector to count half beside its content.
        content_alone: In [0, 1), so many items show nothing but their content at a training step.
        smoothing: In [0, 1), label smoothing, where the loss is over all items.
        learning_rate: Of Adam, at up to 512 places a batch; it grows with the square root of larger batches.
        averaging: In [0, 1), how much of the running mean of the weights stays at each step.
        epochs: At most so many; of little data, which one epoch goes over several times, fewer, as little of it is seen no oftener.
        patience: Training ends when held-out items were not told better for so many epochs.
        watch_share: So many of the people, or 500 of them where that is more, have their last liked item held out to watch training,
            where nothing else is given to watch.
        watch: At most so many held-out items are watched.
        warm_epochs: So many epochs are trained when events are added to a fitted model.
        replay: So many unchanged histories are learned again with each changed one.
        max_seconds: For one `fit`: no epoch begins after so long, and no member that would not be ready.
        full_softmax_items: Up to so many items the loss is over all of them; beyond, over `negatives` drawn at each step.
        negatives: See `full_softmax_items`.
    """

    members: int = 2
    width: int = 64
    widening: int = 2
    layers: int = 2
    heads: int = 1
    window: int = 50
    kernel: int = 8
    filter_share: float = 0.7
    dropout: float = 0.5
    half_support: float = 2.0
    content_alone: float = 0.2
    smoothing: float = 0.1
    learning_rate: float = 1.5e-3
    averaging: float = 0.998
    epochs: int = 200
    patience: int = 3
    watch_share: float = 0.1
    watch: int = 5000
    warm_epochs: int = 8
    replay: float = 1.0
    max_seconds: float = 1200.0
    full_softmax_items: int = 30_000
    negatives: int = 2048

    def __post_init__(self) -> None:
        whole = {"members": 8, "widening": 8, "width": 4096, "layers": 64, "heads": 64, "window": 10_000, "kernel": 1000}
        whole |= {"epochs": 100_000, "patience": 100_000, "warm_epochs": 100_000, "negatives": 1_000_000}
        bad = [name for name, most in whole.items() if not 1 <= getattr(self, name) <= most]
        bad += [name for name in ("dropout", "content_alone", "smoothing", "averaging", "watch_share") if not 0 <= getattr(self, name) < 1]
        bad += [name for name in ("half_support", "learning_rate", "max_seconds") if not 0 < getattr(self, name) < 1e6]
        bad += ["filter_share"] if not 0 <= self.filter_share <= 1 else []
        bad += ["widening"] if not bad and self.width * self.widening ** (self.members - 1) > 4096 else []
        bad += ["heads (does not divide width)"] if not bad and self.width % self.heads else []
        if bad:
            raise ModelError(f"sequence model: {self} cannot work: out of range is {', '.join(bad)}")
