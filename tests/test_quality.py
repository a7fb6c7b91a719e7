from fractions import Fraction

import av
import cv2  # noqa: TID253
import numpy as np
import pytest
import soundfile
from scipy.stats import spearmanr

from avrec_dag.items import Item
from avrec_dag.media.spectrograms import hear, heard_facts
from avrec_dag.quality.picture import blockiness, blur, closer_look, facts, grid, noise
from avrec_dag.quality.signals import PICTURE, SOUND, combined, signal
from avrec_dag.quality.technical import MeasureQuality, Seen, overall, picture_signals, sound_signals

SIZE, FPS, RATE = (320, 240), 25, 48000


def scene(n_frames=25, seed=0):
    """Frames float32 (n, h, w) in [0, 255] with edges, texture of every size and a slow pan; like a photograph, not like a pattern."""
    rng = np.random.default_rng(seed)
    w, h = SIZE[0] + 2 * n_frames, SIZE[1]
    waves = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]) + 1 / h
    wide = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((h, w))) / waves**1.6, (h, w))
    wide = 125 + 35 * (wide - wide.mean()) / wide.std()
    for _ in range(25):
        x, y, side = rng.integers(0, w - 40), rng.integers(0, h - 40), rng.integers(10, 40)
        wide[y : y + side, x : x + side] += rng.integers(-60, 60)
    return np.stack([wide[:, 2 * i : 2 * i + SIZE[0]] for i in range(n_frames)]).clip(10, 245).astype(np.float32)


def write(path, frames, codec="libx264", bit_rate=None, **options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(FPS), options={"g": "5", **options})
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = "yuv420p"
        if bit_rate:
            stream.bit_rate = bit_rate
        for frame in frames:
            grey = np.repeat(frame.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def measured(path, n_frames=25, kind="video", lines=None, **sound):
    raw = {"kind": kind, "duration_s": n_frames / FPS, "width": SIZE[0], "height": lines or SIZE[1], "fps": float(FPS)}
    parents = {"raw_media": raw, **({"audio_spectrograms": sound} if sound else {})}
    (row,) = MeasureQuality(str(path.parent))([Item(path.name, "v1", "2026-01-01", parents)])
    assert row.error is None
    return row


def blurred(frames, step):
    return np.stack([cv2.GaussianBlur(f, (0, 0), 0.4 + step) for f in frames])


def noised(frames, step):
    return frames + np.random.default_rng(1).normal(0, 3 + 6 * step, frames.shape)


LADDERS = {
    "more blur": blurred,
    "more noise": noised,
    "darker": lambda frames, step: frames * (0.5 - 0.1 * step),
    "brighter": lambda frames, step: frames * 0.8 + 60 + 30 * step,
    "flatter": lambda frames, step: 128 + (frames - 128) * (0.6 - 0.13 * step),
    "clipped": lambda frames, step: 128 + (frames - 128) * (2 + 1.5 * step),
    "longer black": lambda frames, step: np.where((np.arange(len(frames)) < 15 * step)[:, None, None], 0, frames),
    "longer frozen": lambda frames, step: frames[np.maximum(np.arange(len(frames)), 13 * step + 20)],
}


@pytest.mark.parametrize("defect", LADDERS)
def test_each_step_down_a_ladder_lowers_the_score(tmp_path, defect):
    frames = scene(75 if "longer" in defect else 25)
    clips = [write(tmp_path / f"{step}.mp4", LADDERS[defect](frames, step), crf="8") for step in range(5)]
    scores = [measured(clip, len(frames)).values["score"] for clip in clips]
    assert spearmanr(range(5), scores).statistic <= -0.95, scores
    assert scores[0] - scores[-1] > 0.05


@pytest.mark.parametrize(("codec", "ladder"), [("libx264", [{"crf": str(18 + 8 * step)} for step in range(5)]),
                                              ("mpeg4", [{"qmin": q, "qmax": q} for q in ("2", "6", "12", "20", "31")])])  # fmt: skip
def test_a_lower_bit_rate_lowers_the_score(tmp_path, codec, ladder):
    clips = [write(tmp_path / f"{step}.mp4", scene(), codec, **options) for step, options in enumerate(ladder)]
    scores = [measured(clip).values["score"] for clip in clips]
    assert spearmanr(range(5), scores).statistic <= -0.9, scores


def test_fewer_lines_lower_the_score(tmp_path):
    path = write(tmp_path / "a.mp4", scene())
    scores = [measured(path, lines=lines).values["score"] for lines in (300, 240, 180, 144, 90)]
    assert scores == sorted(scores, reverse=True)


def speech(seconds=3):
    """Bursts of a harmonic voice between pauses, float64 in [-1, 1]."""
    t = np.arange(seconds * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12)) / 3
    return 0.35 * voice * (np.sin(2 * np.pi * 1.5 * t) > -0.2)


def heard(path, samples):
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    with path.open("rb") as file:
        return heard_facts(hear(file, path.name))


SOUND_LADDERS = {
    "quieter": lambda samples, step: samples * 10 ** (-(8 + 8 * step) / 20),
    "more noise": lambda samples, step: samples + np.random.default_rng(0).normal(0, 10 ** ((-60 + 8 * step) / 20), len(samples)),
    "clipped": lambda samples, step: np.clip(samples * (3 + 2 * step), -1, 1) * 0.9999,
    "longer silence": lambda samples, step: samples * (np.arange(len(samples)) > len(samples) * (0.35 + 0.15 * step)),
}


@pytest.mark.parametrize("defect", SOUND_LADDERS)
def test_each_step_down_a_ladder_of_sounds_lowers_the_score(tmp_path, defect):
    facts = [heard(tmp_path / f"{step}.wav", SOUND_LADDERS[defect](speech(), step)) for step in range(5)]
    scores = [combined(sound_signals(one)) for one in facts]
    assert spearmanr(range(5), scores).statistic <= -0.9, scores


def test_a_silent_track_scores_lower_than_any_sound(tmp_path):
    silent = combined(sound_signals(heard(tmp_path / "silent.wav", np.zeros(2 * RATE))))
    quiet = combined(sound_signals(heard(tmp_path / "quiet.wav", speech() * 0.01)))
    assert silent is not None
    assert quiet is not None
    assert silent < 0.3 < quiet


def test_every_signal_has_a_value_a_unit_a_score_and_a_reason(tmp_path):
    facts = heard(tmp_path / "a.wav", speech())
    row = measured(write(tmp_path / "a.mp4", scene()), **facts)
    signals = row.values["signals"]
    # A mono file has no sides, a file without sound no end to compare, and made tones are no speech.
    assert {one["name"] for one in signals} == {*PICTURE, *SOUND} - {"side", "balance", "phase", "length_gap", "speech_quality"}
    assert all(0 <= one["score"] <= 1 and one["unit"] and one["reason"] for one in signals)
    assert 0 < row.values["score"] <= 1
    assert set(row.fields) == {"score"}


def test_an_item_without_sound_is_judged_by_its_picture(tmp_path):
    row = measured(write(tmp_path / "a.mp4", scene()))
    assert row.values["sound_score"] is None
    assert row.values["score"] == row.values["picture_score"]


def test_an_item_of_sound_alone_is_judged_by_its_sound(tmp_path):
    facts = heard(tmp_path / "a.wav", speech())
    row = measured(tmp_path / "a.wav", kind="audio", **facts)
    assert row.values["picture_score"] is None
    assert row.values["score"] == row.values["sound_score"] > 0.5


def test_a_still_picture_has_no_motion_to_judge(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scene(1)[0])
    raw = {"kind": "image", "duration_s": None, "width": 320, "height": 240, "fps": None}
    (row,) = MeasureQuality(str(tmp_path))([Item("a.png", "v1", "2026-01-01", {"raw_media": raw})])
    assert not {"frozen", "frame_rate"} & {one["name"] for one in row.values["signals"]}
    assert row.values["score"] > 0.25


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_that_shows_nothing_is_measured_and_scores_low(tmp_path, level):
    row = measured(write(tmp_path / "a.mp4", np.full((25, 240, 320), level, np.float32)))
    assert row.values["score"] < 0.5
    assert all(np.isfinite(one["value"]) for one in row.values["signals"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (9, 9)])
def test_the_smallest_pictures_are_measured(shape):
    luma = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert noise(luma) >= 0
    assert blur(luma) is None or 0 <= blur(luma) <= 1
    assert blockiness([grid(luma)]) is None or blockiness([grid(luma)]) >= 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (2, 3), (95, 97), (97, 95)])
@pytest.mark.parametrize("level", [None, 0, 255])
def test_a_frame_of_any_shape_gives_only_scores_that_mean_something(shape, level):
    luma = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8) if level is None else np.full(shape, level, np.uint8)
    found = picture_signals(Seen([facts(luma)], [closer_look(luma)]), float(min(shape)), 0.0)
    assert all(np.isfinite(one.value) and 0 <= one.score <= 1 for one in found)
    names = {one.name for one in found}
    # Too small for a patch of NIQE, and for a spectrum; one frame has no motion.
    assert not names & {"naturalness", "detail", "frozen", "frame_rate", "quantiser", "repeated_frames", "missing_frames", "flicker"}


@pytest.mark.parametrize("sigma", [2, 5, 10, 20])
def test_noise_is_estimated_in_levels(sigma):
    luma = np.full((400, 400), 128.0) + np.linspace(0, 40, 400)
    noisy = (luma + np.random.default_rng(0).normal(0, sigma, luma.shape)).clip(0, 255).round().astype(np.uint8)
    assert noise(noisy) == pytest.approx(sigma, rel=0.1)


def test_blocks_are_found_wherever_the_grid_lies():
    picture = scene(1)[0].astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_GRAYSCALE)
    assert blockiness([grid(coded)]) == pytest.approx(blockiness([grid(coded[3:, 5:])]), rel=0.15)
    assert blockiness([grid(coded)]) > 5 * blockiness([grid(picture)])


def test_one_hopeless_signal_is_not_made_up_for_by_the_others():
    fine = [signal("sharpness", 0.2), signal("noise", 0), signal("contrast", 0.2)]
    assert combined(fine) > 0.95
    assert combined([*fine, signal("black", 1.0)]) < 0.5
    assert combined([]) is None
    assert overall(None, None) is None


def test_a_value_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        signal("noise", float("nan"))
