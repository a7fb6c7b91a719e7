import io
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from avrec_dag import synthetic
from avrec_dag.errors import MediaError
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.shots import colours, shots
from avrec_dag.media.video import Decoding, sample
from avrec_dag.synthetic.pictures import painter


def sampled(path, duration_s, **sampling):
    with path.open("rb") as file:
        decoding = Decoding(file, Sampling(**sampling), duration_s, path.name)
        return decoding.method, list(decoding.frames())


def every_frame(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        start = (container.start_time or 0) / 1e6
        return [(max(0, float(f.pts * stream.time_base) - start), f.to_ndarray(format="rgb24")) for f in container.decode(stream)]


@pytest.mark.parametrize("gop", [10, 1000], ids=["key frames", "all"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".mpg", ".ts", ".flv", ".wmv"])
def test_sampled_frames_are_the_frames_of_their_times(tmp_path, suffix, gop):
    options = {"preset": "veryfast", "bf": "2"} if suffix in {".mp4", ".mkv", ".ts"} else {}
    path = synthetic.clip(tmp_path / f"a{suffix}", kind="dots", seed=4, size=(160, 96), gop=gop, sound=False, options=options)
    method, frames = sampled(path, 3.0, per_second=2)
    truth = every_frame(path)
    assert len(frames) == 6
    assert method == ("keyframes" if gop == 10 else "all")
    for at_s, rgb in frames:
        nearest = min(truth, key=lambda one: abs(one[0] - at_s))
        assert abs(nearest[0] - at_s) < 1e-3
        assert np.abs(nearest[1].astype(int) - rgb).mean() < 3


@pytest.mark.parametrize("gop", [5, 40, 1000])
def test_frames_are_ascending_well_spread_and_as_many_as_asked_for(tmp_path, gop):
    path = synthetic.clip(tmp_path / "a.mp4", kind="waves", seed=4, duration_s=6.0, size=(96, 64), gop=gop, fps=15)
    _, frames = sampled(path, 6.0, per_second=1)
    times = [at_s for at_s, _ in frames]
    assert len(times) == 6
    assert np.abs(np.array(times) - (np.arange(6) + 0.5)).max() < 0.6
    assert np.diff(times).min() > 0.4
    assert np.diff(times).max() < 1.7


B_FRAMES = {"bf": "3", "preset": "veryfast"}
CODERS = {
    "b frames.mp4": {"options": B_FRAMES},
    "b frames.ts": {"options": B_FRAMES},
    "open gops.mp4": {"options": {**B_FRAMES, "x264-params": "open-gop=1:scenecut=0"}},
    "open gops.mkv": {"options": {**B_FRAMES, "x264-params": "open-gop=1:scenecut=0"}},
    "mpeg-2.mpg": {"options": {"bf": "2"}},
    "mpeg-4.avi": {"options": {"bf": "2"}},
    "h264.avi": {"video_codec": "libx264", "options": B_FRAMES},
    "uneven.mp4": {"variable_rate": True, "options": B_FRAMES},
    "fields.ts": {"interlaced": True},
    "vp9.webm": {},
}


@pytest.mark.parametrize("name", CODERS)
def test_frames_between_sparse_key_frames_are_those_of_their_times(tmp_path, name):
    path = tmp_path / name
    made: dict[str, Any] = CODERS[name]
    synthetic.clip(path, kind=["dots", "waves"], seed=4, duration_s=8.0, size=(160, 96), gop=60, sound=False, **made)
    method, frames = sampled(path, 8.0)
    truth, times = every_frame(path), [at_s for at_s, _ in frames]
    assert (method, len(frames)) == ("all", 8)
    assert (np.abs(np.array(times) - (np.arange(8) + 0.5)) < 0.75).all()
    assert np.diff(times).min() > 0.3
    for at_s, rgb in frames:
        nearest = min(truth, key=lambda one: abs(one[0] - at_s))
        assert abs(nearest[0] - at_s) < 1e-3
        assert np.abs(nearest[1].astype(int) - rgb).mean() < 8


def test_a_film_that_breaks_off_between_key_frames_gives_what_came_before(tmp_path):
    path = synthetic.clip(tmp_path / "a.ts", kind="waves", seed=4, duration_s=8.0, size=(160, 96), gop=60, sound=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    _, frames = sampled(path, 8.0)
    assert [int(at_s + 0.1) for at_s, _ in frames][:4] == [0, 1, 2, 3]
    assert len(frames) < 7


def test_key_frames_that_are_none_cost_no_moment(tmp_path):
    made = synthetic.clip(tmp_path / "a.mp4", kind="waves", seed=4, duration_s=8.0, size=(160, 96), gop=1000, sound=False)
    path = tmp_path / "b.mp4"
    with av.open(str(made)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream, packet.is_keyframe = stream, number % 60 == 0
            output.mux(packet)
    method, frames = sampled(path, 8.0)
    assert (method, len(frames)) == ("all", 8)
    truth = every_frame(path)
    for at_s, rgb in frames:
        assert min(np.abs(picture.astype(int) - rgb).mean() for shown_s, picture in truth if abs(shown_s - at_s) < 1e-3) < 8


@given(
    duration_s=st.floats(0.05, 400), keys_s=st.lists(st.floats(0, 400), max_size=80).map(sorted),
    per_second=st.sampled_from([0.2, 1, 3]), cap=st.integers(1, 64),
)  # fmt: skip
def test_there_is_one_moment_in_each_part_of_a_film_on_a_key_frame_where_it_has_one(duration_s, keys_s, per_second, cap):
    sampling = Sampling(per_second=per_second, cap=cap)
    moments = np.array(sampling.cheap_at_s(duration_s, keys_s))
    part_s = duration_s / len(moments)
    assert len(moments) == len(sampling.seen_at_s(duration_s))
    assert (np.floor(moments / part_s + 1e-9) >= np.arange(len(moments))).all()
    assert (moments < (np.arange(len(moments)) + 1) * part_s + 1e-9).all()
    assert (np.diff(moments) >= part_s / 2 - 1e-9).all()
    evenly = np.arange(len(moments)) * part_s
    assert np.allclose(sampling.cheap_at_s(duration_s, []), evenly)


def test_uneven_frame_times_are_kept(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=4, fps=8, variable_rate=True, gop=1000, size=(96, 64))
    _, frames = sampled(path, 3.0, per_second=2)
    stamps = {round(at_s, 4) for at_s, _ in every_frame(path)}
    assert {round(at_s, 4) for at_s, _ in frames} <= stamps


@pytest.mark.parametrize(("rotation_deg", "quarters"), [(90, 1), (180, 2), (270, 3)])
def test_rotated_films_come_out_upright(tmp_path, rotation_deg, quarters):
    path = synthetic.clip(tmp_path / "a.mp4", kind="face", seed=4, duration_s=1.0, rotation_deg=rotation_deg, options={"crf": "10"})
    _, ((_, rgb), *_) = sampled(path, 1.0)
    made = np.rot90(painter("face", 4, (320, 180))(0.0), quarters)
    assert rgb.shape == made.shape
    assert np.abs(rgb.astype(int) - made).mean() < 12


@pytest.mark.parametrize(
    ("size", "side", "shape"), [((640, 360), 512, (288, 512, 3)), ((90, 160), 512, (160, 90, 3)), ((96, 640), 100, (100, 15, 3))]
)
def test_frames_are_scaled_down_to_the_long_side_and_never_up(tmp_path, size, side, shape):
    path = synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=4, duration_s=0.4, size=size)
    _, ((_, rgb), *_) = sampled(path, 0.4, long_side_px=side)
    assert rgb.shape == shape and rgb.dtype == np.uint8


def test_pixels_that_are_not_square_are_made_square(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="rings", seed=4, duration_s=0.4, size=(160, 120), options={"x264-params": "sar=3/2"})
    _, ((_, rgb), *_) = sampled(path, 0.4)
    assert rgb.shape == (120, 240, 3)


def test_interlaced_films_are_not_combed(tmp_path):
    path = synthetic.clip(tmp_path / "a.mpg", kind="stripes", seed=4, duration_s=0.4, size=(320, 240), interlaced=True)
    _, ((_, rgb), *_) = sampled(path, 0.4)
    assert rgb.shape == (240, 320, 3)
    assert np.abs(rgb[::2][:119].astype(int) - rgb[1::2][:119]).mean() < 30


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp"])
def test_a_still_picture_is_one_frame(tmp_path, name):
    path = synthetic.clip(tmp_path / name, kind="checkers", seed=4)
    method, ((at_s, rgb),) = sampled(path, None)
    assert (method, at_s, rgb.shape) == ("still", 0.0, (180, 320, 3))
    assert np.abs(rgb.astype(int) - painter("checkers", 4, (320, 180))(0.5)).mean() < 15


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_turned_and_mirrored_as_their_exif_says(suffix, turn):
    made = Image.fromarray(painter("face", 1, (80, 40))(0.3))
    exif = made.getexif()
    exif[0x0112], exif[0x010F] = turn, "a camera"
    file = io.BytesIO()
    made.save(file, suffix, exif=exif)
    ((_, rgb),) = sample(file, Sampling(), None)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(file)).convert("RGB"))
    assert rgb.shape == shown.shape
    assert np.abs(rgb.astype(int) - shown).mean() < 6


def test_a_gif_is_decoded_frame_by_frame(tmp_path):
    path = synthetic.clip(tmp_path / "a.gif", kind="dots", seed=4, duration_s=2.0, size=(96, 64), fps=10)
    method, frames = sampled(path, 2.0)
    assert (method, len(frames)) == ("all", 2)


def test_a_film_whose_length_was_told_wrongly_still_gives_a_frame(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=4, duration_s=1.0, gop=1000, size=(96, 64))
    _, frames = sampled(path, 1e6)
    assert len(frames) >= 1


def test_damage_in_the_middle_costs_only_what_it_hits(tmp_path):
    path = synthetic.clip(tmp_path / "a.mpg", kind="waves", seed=4, duration_s=4.0, gop=12)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8))
    path.write_bytes(data)
    _, frames = sampled(path, 4.0)
    assert len(frames) >= 3


def test_sound_alone_has_no_frames(tmp_path):
    path = synthetic.clip(tmp_path / "a.wav", kind="bars", seed=4, duration_s=0.2)
    with pytest.raises(MediaError, match="no picture"):
        list(sample(io.BytesIO(path.read_bytes()), Sampling(), 1.0, "a.wav"))


def test_cuts_are_found_and_movement_is_not_taken_for_one(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind=["rings", "face", "waves"], seed=1, duration_s=6.0, size=(160, 96))
    _, frames = sampled(path, 6.0, per_second=2)
    found = shots([colours(rgb) for _, rgb in frames])
    starts = [at_s for (at_s, _), before, now in zip(frames[1:], found, found[1:], strict=False) if now != before]
    assert np.allclose(starts, [2, 4], atol=0.6)
    for kind in synthetic.KINDS:
        paint = painter(kind, 2, (160, 96))
        assert set(shots([colours(paint(t)) for t in np.arange(0, 6, 0.7)])) == {0}


def test_kept_frames_are_spread_over_every_shot():
    shot = [0] * 40 + [1] * 2 + [2] * 60
    kept = Sampling(cap=10).choose(shot, 102.0)
    assert len(kept) == 10
    counts = np.bincount([shot[i] for i in kept])
    assert counts[1] >= 1 and counts[2] > counts[0] > counts[1]
    assert kept == sorted(set(kept))


def test_more_shots_than_the_cap_are_thinned_evenly():
    kept = Sampling(cap=8, per_shot=2).choose(list(range(100)), 100.0)
    assert len(kept) <= 8
    assert max(np.diff(kept)) <= 26


def test_short_shots_may_raise_the_number_of_frames_up_to_the_cap():
    assert len(Sampling(per_second=0.1, per_shot=2).choose([0, 0, 0, 1, 1, 1, 2, 2, 2], 10.0)) == 6


def test_settings_that_change_frames_change_their_canonical_text():
    texts = {
        Sampling(**change).canonical()
        for change in ({}, {"per_second": 2}, {"per_shot": 2}, {"cap": 3}, {"long_side_px": 64}, {"jpeg_quality": 9})
    }
    assert len(texts) == 6
