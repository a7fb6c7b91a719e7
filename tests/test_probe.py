import av
import pytest

from avrec_dag import synthetic
from avrec_dag.errors import MediaError
from avrec_dag.media.probe import Probe, probe


def probed(path) -> Probe:
    with path.open("rb") as file:
        return probe(file, path.name)


def remuxed(path, target, *, rotation_deg=0, **metadata):
    """The same packets in another file, with other tags."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        output.metadata.update(metadata)
        streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
        if rotation_deg:
            streams[0].set_display_rotation(rotation_deg)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".ts", ".flv", ".wmv"])
def test_every_container_with_film_and_sound_is_understood(tmp_path, suffix):
    found = probed(synthetic.clip(tmp_path / f"a{suffix}", kind="bars", seed=1, duration_s=2.0))
    assert found.kind == "video" and found.video and found.audio
    assert (found.video.width, found.video.height) == (320, 180)
    assert found.video.fps == pytest.approx(25, abs=0.1)
    assert found.duration_s == pytest.approx(2, abs=0.1)
    assert (found.audio.sample_rate_hz, found.audio.channels, found.audio.layout) == (48000, 1, "mono")
    assert found.warnings == ()


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg", ".m4a"])
def test_sound_alone_is_sound(tmp_path, suffix):
    found = probed(synthetic.clip(tmp_path / f"a{suffix}", kind="bars", seed=1, duration_s=2.0, channels=2))
    assert found.kind == "audio" and found.video is None and found.audio
    assert found.audio.layout == "stereo"
    assert found.duration_s == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "a.gif"])
def test_still_pictures_are_images_without_length(tmp_path, name):
    found = probed(synthetic.clip(tmp_path / name, kind="rings", seed=1, duration_s=0.04, sound=False))
    assert found.kind == "image" and found.audio is None and found.video
    assert (found.video.width, found.video.height, found.video.fps, found.duration_s) == (320, 180, None, None)


def test_a_gif_that_moves_is_a_film(tmp_path):
    found = probed(synthetic.clip(tmp_path / "a.gif", kind="rings", seed=1, duration_s=1.0, size=(96, 64), fps=10))
    assert found.kind == "video" and found.audio is None
    assert found.duration_s == pytest.approx(1, abs=0.05)


def test_the_name_decides_nothing(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="rings", seed=1, duration_s=0.5)
    assert probed(path.rename(tmp_path / "a.jpg")).kind == "video"
    picture = synthetic.clip(tmp_path / "b.png", kind="rings", seed=1)
    assert probed(picture.rename(tmp_path / "frame%03d.mp4")).kind == "image"


@pytest.mark.parametrize(("rotation_deg", "size"), [(90, (180, 320)), (180, (320, 180)), (270, (180, 320))])
def test_size_is_as_displayed_after_rotation(tmp_path, rotation_deg, size):
    found = probed(synthetic.clip(tmp_path / "a.mp4", kind="rings", seed=1, duration_s=0.5, rotation_deg=rotation_deg))
    assert found.video and (found.video.width, found.video.height) == size
    assert found.video.rotation_deg == rotation_deg


@pytest.mark.parametrize(
    "options",
    [
        {"size": (321, 181), "pix_fmt": "yuv444p"},
        {"pix_fmt": "yuv420p10le"},
        {"interlaced": True},
        {"video_codec": "prores_ks"},
        {"video_codec": "mjpeg", "pix_fmt": "yuvj420p"},
    ],
    ids=["odd size", "10 bits", "interlaced", "prores", "mjpeg"],
)
def test_unusual_pictures_are_understood(tmp_path, options):
    found = probed(synthetic.clip(tmp_path / "a.mov", kind="face", seed=1, duration_s=0.5, **options))
    assert found.video and (found.video.width, found.video.height) == options.get("size", (320, 180))


def test_an_uneven_frame_rate_is_told_on_average(tmp_path):
    found = probed(synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=1, fps=10, variable_rate=True))
    assert found.video and found.video.fps == pytest.approx(10, rel=0.1)
    assert found.duration_s == pytest.approx(3, abs=0.15)


def test_new_tags_or_another_container_change_no_hash(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=1, duration_s=1.0)
    before = probed(path)
    for after in (probed(remuxed(path, tmp_path / "b.mp4", title="new", artist="me")), probed(remuxed(path, tmp_path / "c.mkv"))):
        assert after.video and before.video and after.video.hash == before.video.hash
        assert after.audio and before.audio and after.audio.hash == before.audio.hash


def test_a_change_of_the_film_alone_leaves_the_hash_of_the_sound(tmp_path):
    one, two = (
        probed(synthetic.clip(tmp_path / f"{crf}.mp4", kind="dots", seed=1, duration_s=1.0, options={"crf": crf})) for crf in ("20", "30")
    )
    assert one.video and two.video and one.video.hash != two.video.hash
    assert one.audio == two.audio


def test_a_new_rotation_changes_the_hash_of_the_film_alone(tmp_path):
    path = synthetic.clip(tmp_path / "a.mp4", kind="dots", seed=1, duration_s=1.0)
    before, after = probed(path), probed(remuxed(path, tmp_path / "b.mp4", rotation_deg=90))
    assert before.video and after.video and before.video.hash != after.video.hash
    assert before.audio == after.audio


def test_a_cover_picture_does_not_make_a_song_a_film(tmp_path):
    cover = synthetic.clip(tmp_path / "cover.jpg", kind="rings", seed=1)
    song = synthetic.clip(tmp_path / "song.mp3", kind="bars", seed=1, duration_s=1.0)
    target = tmp_path / "with_cover.mp3"
    with av.open(str(song)) as sound, av.open(str(cover), format="jpeg_pipe") as picture, av.open(str(target), "w") as output:
        audio = output.add_stream_from_template(sound.streams.audio[0])
        video = output.add_stream_from_template(picture.streams.video[0])
        video.disposition = av.stream.Disposition.attached_pic
        (packet,) = [packet for packet in picture.demux() if packet.size]
        packet.stream = video
        output.mux(packet)
        for packet in sound.demux():
            if packet.dts is not None:
                packet.stream = audio
                output.mux(packet)
    found = probed(target)
    assert found.kind == "audio" and found.video is None


def test_a_film_cut_off_in_the_middle_is_kept_with_a_warning(tmp_path):
    path = synthetic.clip(tmp_path / "a.mkv", kind="waves", seed=1, duration_s=4.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = probed(path)
    assert found.video and found.audio
    assert 1 < (found.duration_s or 0) < 3
    assert "cut off" in found.warnings[0]


def test_what_has_neither_picture_nor_sound_says_so(tmp_path):
    def box(name: bytes, body: bytes) -> bytes:
        return (len(body) + 8).to_bytes(4, "big") + name + body

    header = bytes(12) + (1000).to_bytes(4, "big") + bytes(84)
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"isom\0\0\2\0isom") + box(b"moov", box(b"mvhd", header)) + box(b"mdat", bytes(range(256))))
    with pytest.raises(MediaError, match="neither picture nor sound"):
        probed(path)
