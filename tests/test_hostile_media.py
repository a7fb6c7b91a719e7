import io
import resource
import struct
import zipfile
import zlib

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from avrec_dag import synthetic
from avrec_dag.errors import MediaError
from avrec_dag.media.audio import decode_mono
from avrec_dag.media.opening import opened
from avrec_dag.media.probe import probe
from avrec_dag.media.sampling import Sampling
from avrec_dag.media.video import sample


def png(width, height, body=b"\0" * 1000):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("film.mp4", b"x" * 1000)
    data = bytearray(buffer.getvalue())
    data[6] |= 1  # the flag of a password
    return bytes(data)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return synthetic.clip(tmp_path_factory.mktemp("good") / "good.mp4", kind="dots", seed=1, duration_s=1.0, size=(96, 64))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\0" * 2_000_000, "zero bytes"),
        (b"hello, this is a text\n" * 500, "is text"),
        ("你好,这不是视频。\n".encode() * 500, "is text"),
        (b"<html><body>404 Not Found</body></html>", "is text"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nsubtitle\n", "is text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "is text"),
        (zipped(), "ZIP archive"),
        (b"%PDF-1.7\n\xff\xff" + bytes(range(256)), "PDF"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(range(256)), "RAR"),
        (b"\x7fELF" + bytes(500), "a program"),
        (bytes(np.random.default_rng(1).integers(0, 256, 50_000, dtype=np.uint8)), "cannot read|can be decoded"),
        (png(60_000, 60_000), "passes 67108864 pixels"),
        (png(16, 16, b""), "can be decoded|cannot be read"),
    ],
    ids=["empty", "zeros", "text", "chinese text", "html", "subtitles", "svg", "zip", "pdf", "rar", "elf", "noise", "bomb", "hollow png"],
)
def test_what_is_no_media_is_refused_in_one_clear_sentence(data, said):
    with pytest.raises(MediaError, match=said) as refused:
        probe(io.BytesIO(data), "名 'a' b.mp4")
    assert str(refused.value).startswith("名 'a' b.mp4: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n",
        "\ufeff#EXTM3U\n#EXTINF:3,\nfile://{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {target}\n",
        "ffconcat version 1.0\nfile 'file:{target}'\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period><AdaptationSet><Representation id='1'>"
        "<BaseURL>file://{target}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
    ids=["hls", "hls with mark", "concat", "concat file", "dash", "sdp"],
)
@pytest.mark.parametrize("padding", [b"", b"\0\x01\xff" * 10], ids=["text", "disguised as binary"])
def test_a_playlist_cannot_make_another_file_be_opened(good, text, padding):
    data = text.format(target=good).encode() + padding
    for read in (lambda f: probe(f, "a.mp4"), lambda f: list(sample(f, Sampling(), 1.0)), lambda f: list(decode_mono(f))):
        with pytest.raises(MediaError):
            read(io.BytesIO(data))


@pytest.mark.parametrize("name", ["hls", "concat", "dash", "sdp", "image2", "lavfi", "video4linux2"])
def test_ffmpeg_itself_is_told_not_to_use_formats_that_open_other_files(good, name):
    if name not in {part for names in av.formats_available for part in names.split(",")}:
        pytest.skip(f"this FFmpeg has no {name}")
    from avrec_dag.media import opening

    assert name not in opening._allowed_formats().split(",")
    with good.open("rb") as file, opened(file, "good.mp4") as container:
        assert container.container_options["protocol_whitelist"] == ""


def test_a_film_that_refers_to_another_file_gives_nothing_of_that_file(good):
    # An external data reference of QuickTime: the samples lie in a file that the header names.
    data = good.read_bytes()
    reference = b"\0\0\0\x0curl \0\0\0\x01"
    assert reference in data
    outside = data.replace(reference, b"\0\0\0\x0curl \0\0\0\0")
    try:
        found = probe(io.BytesIO(outside), "a.mp4")
    except MediaError:
        return
    assert found.video is not None  # only bytes of the upload itself were read


def test_a_picture_that_grows_beyond_all_bounds_within_a_film_is_not_decoded(tmp_path):
    small = synthetic.clip(tmp_path / "a.avi", kind="dots", seed=1, duration_s=0.4, sound=False, video_codec="mjpeg", pix_fmt="yuvj420p")
    target = tmp_path / "grows.avi"
    with av.open(str(small)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux() if packet.size):
            data = bytearray(bytes(packet))
            if number >= 3:
                start = data.index(b"\xff\xc0") + 5
                data[start : start + 4] = struct.pack(">HH", 40_000, 40_000)
            grown = av.Packet(bytes(data))
            grown.pts, grown.dts, grown.time_base, grown.stream = packet.pts, packet.dts, packet.time_base, stream
            grown.is_keyframe = True
            output.mux(grown)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with target.open("rb") as file:
        frames = list(sample(file, Sampling(per_second=25), 0.4, "grows.avi"))
    assert {rgb.shape for _, rgb in frames} == {(180, 320, 3)}
    assert len(frames) == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 200_000


def test_an_encrypted_film_is_refused_as_such(tmp_path, good):
    key = "00112233445566778899aabbccddeeff"
    target = tmp_path / "drm.mp4"
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    with av.open(str(good)) as source, av.open(str(target), "w", options=options) as output:
        streams = {s.index: output.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                output.mux(packet)
    with target.open("rb") as file, pytest.raises(MediaError, match="encrypted"):
        probe(file, "drm.mp4")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=2000),
    st.sampled_from(
        [
            b"",
            b"\x1aE\xdf\xa3",
            b"RIFF....AVI LIST",
            b"\0\0\0\x18ftypisom",
            b"OggS",
            b"fLaC",
            b"ID3\4",
            b"GIF89a",
            b"FLV\1\5",
            b"RIFF....WEBPVP8 ",
        ]
    ),
)
@example(b"\0", b"\0\0\0\x18ftypisom")
def test_random_bytes_are_either_media_or_refused_clearly(data, head):
    try:
        found = probe(io.BytesIO(head + data), "x")
    except MediaError as refused:
        assert str(refused).startswith("x: ")
    else:
        assert found.video or found.audio


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_good_film_with_damage_anywhere_is_either_read_or_refused_clearly(good, data):
    film = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        film[data.draw(st.integers(0, len(film) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(film)))
    for read in (lambda f: probe(f, "x"), lambda f: list(sample(f, Sampling(), 1.0, "x")), lambda f: list(decode_mono(f, name="x"))):
        try:
            found = read(io.BytesIO(bytes(film[:cut])))
        except MediaError as refused:
            assert str(refused).startswith("x: ")
        else:
            assert found
