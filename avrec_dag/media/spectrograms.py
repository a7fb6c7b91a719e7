"""The sound of every item: facts of its waveform, its log-mel spectrogram, a picture, and how much is speech, singing and music."""

import hashlib
import io
import json
import wave
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from avrec_dag.encoders.events import EventCounter, EventShares
from avrec_dag.items import DecodesUploads, Item, Row, each
from avrec_dag.media.audio import Mono, decode_blocks
from avrec_dag.media.hum import HumMeter
from avrec_dag.media.log_mel import BANDS, LogMel
from avrec_dag.media.loudness import Meter, WaveformFacts
from avrec_dag.media.spectrogram_picture import spectrogram_png
from avrec_dag.media.stereo import StereoFacts, StereoMeter
from avrec_dag.media.uploads import MediaSource
from avrec_dag.storage import Blobs


@dataclass(frozen=True)
class Heard:
    """What one pass over a sound tells.

    Attributes:
        facts: Of the waveform, all channels.
        stereo: How its two channels differ.
        hum_db: As `HumMeter.level_db`.
        shares: Of speech, singing and music.
        log_mel_npy: The spectrogram as an `.npy` file: float16 (n, 64), dB, one row for every 10 ms.
        n_windows: n.
    """

    facts: WaveformFacts
    stereo: StereoFacts
    hum_db: float | None
    shares: EventShares
    log_mel_npy: bytes
    n_windows: int


def hear(file: BinaryIO, name: str = "upload") -> Heard:
    """Listen to a file once, from end to end, in blocks of seconds.

    Args:
        file: Seekable binary file.
        name: What messages call it.

    Raises:
        MediaError: Not one sample can be decoded.
    """
    meter: Meter | None = None
    mono, spectrogram, events, stereo, hum = Mono(), LogMel(), EventCounter(), StereoMeter(), HumMeter()
    for block in decode_blocks(file, name):
        meter = meter or Meter(block)
        meter.add(block)
        stereo.add(block.samples)
        samples = mono.of(block)
        spectrogram.add(samples)
        events.add(samples)
        hum.add(samples)
    assert meter is not None  # decode_blocks yields at least one block or raises
    rest = mono.rest()
    spectrogram.add(rest)
    events.add(rest)
    hum.add(rest)
    npy = spectrogram.npy()
    return Heard(meter.facts(), stereo.facts(), hum.level_db(), events.shares(), npy, spectrogram.n_windows)


def heard_facts(heard: Heard) -> dict[str, object]:
    """The columns of audio_spectrograms that a sound's waveform fills."""
    return {**asdict(heard.facts), **asdict(heard.stereo), "hum_db": heard.hum_db, **asdict(heard.shares)}


@lru_cache(maxsize=1)
def _hear_nothing() -> None:
    second = io.BytesIO()
    with wave.open(second, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16_000))
    second.seek(0)
    hear(second)


@dataclass(frozen=True)
class Listen(DecodesUploads):
    """Task of audio_spectrograms: hears each item once.

    Attributes:
        media_uri: The media library.
        store_uri: Where blobs go.
    """

    media_uri: str
    store_uri: str

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; an item of which no sound decodes becomes a failed row that says why."""
        return each(items, self._row)

    def get_ready(self, items: Sequence[Item]) -> None:  # noqa: ARG002 - whichever they are
        """Load model and libraries: 180 MB, which would pass for what the first upload left behind and wear the process out."""
        _hear_nothing()

    def _row(self, item: Item) -> Row:
        with MediaSource(self.media_uri).open_planned(item) as file:
            heard = hear(file, PurePosixPath(item.key).name)
        levels = np.frombuffer(heard.log_mel_npy, "<f2", offset=len(heard.log_mel_npy) - heard.n_windows * BANDS * 2).reshape(-1, BANDS)
        blobs = Blobs(self.store_uri)
        blobs.put("audio_spectrograms", item.key, item.version, "log_mel.npy", heard.log_mel_npy)
        blobs.put("audio_spectrograms", item.key, item.version, "spectrogram.png", spectrogram_png(levels))
        facts = heard_facts(heard)
        return item.done(
            {
                "log_mel": hashlib.sha256(heard.log_mel_npy).hexdigest(),
                "waveform": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
            },
            {**facts, "n_windows": heard.n_windows, "blob": blobs.prefix("audio_spectrograms", item.key, item.version)},
        )
