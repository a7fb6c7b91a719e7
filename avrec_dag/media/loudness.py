"""Loudness by EBU R128 / ITU-R BS.1770-4, and the plain facts of a waveform, in one pass with bounded memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avrec_dag.media.audio import Block
from avrec_dag.media.true_peak import TruePeak

FLOOR_DBFS = -120.0
"""What digital silence is written as, since its true level has no finite number."""
GATE_LUFS = -70.0
"""The absolute gate: the loudness of a sound in which nothing is louder, or that is shorter than 0.4 s."""

_CLIPPED = 0.999
_SILENT_DBFS = -60.0
_SURROUND = frozenset({"BL", "BR", "SL", "SR", "BC"})


@dataclass(frozen=True, slots=True)
class WaveformFacts:
    """What a waveform is like, measured on all channels at the file's own rate.

    Attributes:
        sample_rate_hz: The file's own.
        duration_s: By the samples decoded.
        peak_dbfs: Of the loudest sample; above 0 where a lossy codec overshoots.
        rms_dbfs: Mean over all channels.
        loudness_lufs: Integrated, gated; -70 where nothing passes the gate.
        noise_floor_dbfs: Tenth percentile of the level of windows of 100 ms.
        clipped_share: Samples at full scale, in [0, 1].
        silent_share: Windows of 100 ms below -60 dBFS, in [0, 1].
        true_peak_dbtp: Of the waveform between the samples (BS.1770-4, annex 2); at least `peak_dbfs`.
        lead_silence_s: How long it is silent, by windows of 100 ms, before anything is heard; all of it in a silent sound.
        trail_silence_s: As `lead_silence_s`, at the end.
    """

    sample_rate_hz: int
    duration_s: float
    peak_dbfs: float
    rms_dbfs: float
    loudness_lufs: float
    noise_floor_dbfs: float
    clipped_share: float
    silent_share: float
    true_peak_dbtp: float
    lead_silence_s: float
    trail_silence_s: float


class Meter:
    """Takes blocks and tells the facts at the end; keeps one number for every 100 ms."""

    def __init__(self, first: Block) -> None:
        self._rate = first.sample_rate_hz
        self._hop = max(1, self._rate // 10)
        self._weights = _channel_weights(first)
        self._filter = k_weighting(self._rate)
        self._state = np.zeros((len(self._filter), len(self._weights), 2))
        self._loud = _Windows(self._hop)
        self._plain = _Windows(self._hop)
        self._n = 0
        self._clipped = 0
        self._peak = 0.0
        self._true_peak = TruePeak(len(first.samples))
        self._power = 0.0

    def add(self, block: Block) -> None:
        """Measure the next block; all blocks have the channels and the rate of the first."""
        from scipy.signal import sosfilt

        samples = block.samples
        peak = max(float(samples.max(initial=0)), -float(samples.min(initial=0)))
        self._peak = max(self._peak, peak)
        if peak >= _CLIPPED:
            self._clipped += int((np.abs(samples) >= _CLIPPED).sum())
        self._true_peak.add(samples)
        self._n += samples.shape[1]
        power = np.einsum("cn,cn->n", samples, samples).astype(np.float64) / len(samples)
        self._power += float(power.sum())
        self._plain.add(power)
        weighted, self._state = sosfilt(self._filter, samples, axis=-1, zi=self._state)
        self._loud.add(np.einsum("c,cn,cn->n", self._weights, weighted, weighted))

    def facts(self) -> WaveformFacts:
        """The facts of everything added."""
        levels = _db(np.array(self._plain.means(partial=True)))
        heard = np.flatnonzero(levels >= _SILENT_DBFS)
        window_s = self._hop / self._rate
        return WaveformFacts(
            self._rate,
            self._n / self._rate,
            _peak_db(self._peak),
            float(_db(np.array([self._power / max(self._n, 1)]))[0]),
            integrated_lufs(np.array(self._loud.means())),
            float(np.percentile(levels, 10)) if len(levels) else FLOOR_DBFS,
            self._clipped / max(self._n * len(self._weights), 1),
            float((levels < _SILENT_DBFS).mean()) if len(levels) else 1.0,
            _peak_db(self._true_peak.peak()),
            float(heard[0]) * window_s if len(heard) else self._n / self._rate,
            float(len(levels) - 1 - heard[-1]) * window_s if len(heard) else self._n / self._rate,
        )


class _Windows:
    """Means over windows of equal length of a signal that comes in blocks."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest = np.zeros(0)
        self._means: list[float] = []

    def add(self, values: NDArray[np.float64]) -> None:
        values = np.concatenate([self._rest, values])
        whole = len(values) // self._size * self._size
        self._means += values[:whole].reshape(-1, self._size).mean(axis=1).tolist()
        self._rest = values[whole:]

    def means(self, *, partial: bool = False) -> list[float]:
        """The means so far, with that of an unfinished window when `partial` and there is no other."""
        return self._means if self._means or not partial or not len(self._rest) else [float(self._rest.mean())]


def integrated_lufs(powers: NDArray[np.float64]) -> float:
    """Integrated loudness in LUFS from the K-weighted power of consecutive windows of 100 ms (BS.1770-4, section 2.8).

    Args:
        powers: float64 (n,): channel-weighted sums of mean squares.
    """
    if len(powers) < 4:
        return GATE_LUFS
    blocks = np.convolve(powers, np.full(4, 0.25), "valid")  # 400 ms, overlapping by 75 %
    loud = blocks[_lufs(blocks) > GATE_LUFS]
    if not len(loud):
        return GATE_LUFS
    gated = loud[_lufs(loud) > _lufs(loud.mean()) - 10]
    return float(_lufs(gated.mean()))


def k_weighting(sample_rate_hz: int) -> NDArray[np.float64]:
    """The two filters of BS.1770-4 as second-order sections (2, 6) for any rate.

    At 48 kHz they equal the standard's coefficients; elsewhere the same analogue filters are discretised anew, which
    for a sound sampled at 16 kHz gives 0.1 LU more than the same sound at 48 kHz, and at 8 kHz 0.3 LU
    (De Man, "Evaluation of Implementations of the EBU R128 Loudness Measurement", AES 145, 2018).
    """
    return np.array([_high_shelf(sample_rate_hz), _high_pass(sample_rate_hz)])


def _high_shelf(rate: int) -> list[float]:
    f0, gain_db, q = min(1681.974450955533, 0.45 * rate), 3.999843853973347, 0.7071752369554196
    k = np.tan(np.pi * f0 / rate)
    vh = 10 ** (gain_db / 20)
    vb = vh**0.4996667741545416
    a0 = 1 + k / q + k * k
    return [
        (vh + vb * k / q + k * k) / a0,
        2 * (k * k - vh) / a0,
        (vh - vb * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]


def _high_pass(rate: int) -> list[float]:
    f0, q = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * f0 / rate)
    a0 = 1 + k / q + k * k
    return [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]


def _channel_weights(block: Block) -> NDArray[np.float64]:
    """1 for front channels, 1.41 for surrounds, 0 for the low-frequency effects channel."""
    names = block.channel_names or ("",) * len(block.samples)
    return np.array([0.0 if name.startswith("LFE") else 1.41 if name in _SURROUND else 1.0 for name in names])


def _lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-12))


def _peak_db(peak: float) -> float:
    return max(FLOOR_DBFS, 20 * float(np.log10(max(peak, 1e-9))))


def _db(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR_DBFS)
