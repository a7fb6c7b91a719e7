"""How good speech sounds to listeners, by DNSMOS."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avrec_dag.encoders.base import EncoderSpec
from avrec_dag.encoders.onnx_session import session
from avrec_dag.encoders.weights import located, verified
from avrec_dag.errors import SettingError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OFF = "off"
SAMPLE_RATE_HZ = 16000
WINDOW = 144160
"""Samples of one window, 9.01 s."""
INSTALL = "pip install speechmos==0.0.1.1"
P835 = ("speechmos", "dnsmos_models/sig_bak_ovr.onnx", "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd", INSTALL)
P808 = ("speechmos", "dnsmos_models/model_v8.onnx", "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91", INSTALL)
SPEC = EncoderSpec("dnsmos", "speech", 4, "8af664f39193fcf7dcb2c8e767f146e31316fd1a0056cd0c3d3b585afc93531e", "speechmos", INSTALL)
"""The digest is the SHA-256 of both files' digests, one after the other."""

_FFT, _HOP, _BANDS = 321, 160, 120
# Raw SIG, BAK and OVRL -> MOS, the square's coefficient first, as fitted by the authors (dnsmos_local.py of microsoft/DNS-Challenge).
_FITS = ((-0.08397278, 1.22083953, 0.0052439), (-0.13166888, 1.60915514, -0.39604546), (-0.06766283, 1.11546468, 0.04602535))


@dataclass(frozen=True)
class Opinion:
    """Mean opinion scores of listeners, predicted, each about 1 (bad) to 5 (excellent).

    Attributes:
        signal: Of the voice itself (ITU-T P.835 SIG).
        background: Of what is heard behind it (P.835 BAK).
        overall: Of both together (P.835 OVRL).
        p808: Overall, by the model of ITU-T P.808.
    """

    signal: float
    background: float
    overall: float
    p808: float

    @property
    def mos(self) -> float:
        """The mean of both overall opinions: P.808 tells little noise from none, P.835 much noise from more."""
        return (self.overall + self.p808) / 2


def chosen(setting: str) -> EncoderSpec | None:
    """The model that the setting AVREC_DNSMOS means, without loading it; None where speech is not to be judged.

    Args:
        setting: `auto` (on where the weights are installed), `packaged` or `off`.

    Raises:
        SettingError: There is no such model, or it is not installed.
    """
    installed = all(located(*part[:2]) for part in (P835, P808))
    if setting == OFF or (setting == "auto" and not installed):
        return None
    if setting not in ("auto", "packaged"):
        raise SettingError(f"AVREC_DNSMOS={setting!r} names no judge of speech; use auto, off or packaged")
    if not installed:
        raise SettingError(f"AVREC_DNSMOS={setting!r} needs what is not installed; install it with `{INSTALL}`, or set AVREC_DNSMOS=off")
    return SPEC


def opinion(samples: NDArray[np.float32]) -> Opinion:
    """What listeners would say of one window of speech.

    DNSMOS P.835 (Reddy, Gopal and Cutler, ICASSP 2022) hears the waveform, DNSMOS (Reddy, Gopal and Cutler, ICASSP 2021) a log-mel
    spectrogram. Both judge loud and quiet recordings as they are: nothing is brought to one level. The authors judge a longer sound
    in such windows a second apart, and take the mean.

    Args:
        samples: float32 (n,) in [-1, 1], 16 kHz mono, n > 0. Shorter sounds are repeated up to 9.01 s, as the authors do;
            of longer ones the first 9.01 s count.
    """
    window = np.resize(np.asarray(samples, np.float32), WINDOW)
    fitted = [float(np.polyval(fit, raw)) for fit, raw in zip(_FITS, _answer(P835, window), strict=True)]
    (heard,) = _answer(P808, log_mel(window[:-_HOP]))
    return Opinion(fitted[0], fitted[1], fitted[2], heard)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the P.808 model hears: float32 (1 + m // 160, 120), levels below the loudest, (dB + 40) / 40, down to -1.

    As librosa's `melspectrogram` and `power_to_db(ref=max)`: frames of 321 samples (periodic Hann) around every 160th, silence
    around the ends, powers, 120 mel bands (Slaney) from 0 to 8 kHz.

    Args:
        samples: float32 (m,) in [-1, 1], 16 kHz mono.
    """
    from scipy.fft import rfft
    from scipy.signal import get_window

    padded = np.pad(samples, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    power = np.square(np.abs(np.asarray(rfft(frames * get_window("hann", _FFT).astype(np.float32), axis=1))))
    bands = np.maximum(power @ mel_matrix(), np.float32(1e-10))
    levels_db = 10 * np.log10(bands / bands.max())
    return ((np.maximum(levels_db, -80) + 40) / 40).astype(np.float32)


@lru_cache(maxsize=1)
def mel_matrix() -> NDArray[np.float32]:
    """Weights (161, 120): triangles of equal area on Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above."""
    bins_hz = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)[:, None]
    edges_hz = _hz(np.linspace(0, _TOP_MEL, _BANDS + 2))
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.maximum(0, np.minimum((bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)))
    return (triangles * 2 / (high - low)).astype(np.float32)


_KNEE_HZ, _KNEE_MEL, _STEP = 1000.0, 15.0, np.log(6.4) / 27
_TOP_MEL = _KNEE_MEL + np.log(SAMPLE_RATE_HZ / 2 / _KNEE_HZ) / _STEP


def _hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < _KNEE_MEL, mels * _KNEE_HZ / _KNEE_MEL, _KNEE_HZ * np.exp(_STEP * (mels - _KNEE_MEL)))


def _answer(file: tuple[str, str, str, str], heard: NDArray[np.float32]) -> list[float]:
    """The numbers that a model gives for one sound."""
    return np.asarray(_model(file).run(None, {"input_1": heard[None]})[0]).reshape(-1).tolist()


@cache
def _model(file: tuple[str, str, str, str]) -> "InferenceSession":
    return session(verified(*file))
