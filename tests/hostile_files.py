"""Uploads that are broken, odd or meant to do harm: made by code, each under the key that it is uploaded as."""

import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from PIL import Image, PngImagePlugin

from avrec_dag import synthetic
from tests.hostile_boxes import box, boxes, nested, patched

Files = Iterator[tuple[str, bytes]]
_FORMATS = ("mp4", "mov", "mkv", "webm", "avi", "ts", "ogg", "mp3", "flac", "wav", "gif", "png", "jpg")
HUGE = b"\xff\xff\xff\xff"


@cache
def good(suffix: str, **asked: object) -> bytes:
    """A small clip that is as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"good.{suffix}"
        return synthetic.clip(path, kind="dots", seed=1, duration_s=0.6, size=(96, 64), **asked).read_bytes()  # type: ignore[arg-type]


@cache
def fast_start() -> bytes:
    """A film whose index comes first, so that one that was cut off still has it."""
    data = good("mp4")
    parts = {path: bytearray(data[a:b]) for path, a, b in boxes(data) if "/" not in path}
    index = parts["moov"]
    moved = data.index(parts["mdat"]) - len(parts["ftyp"]) - len(index)
    for path, start, _ in list(boxes(bytes(index))):
        if path.endswith("stco"):
            (count,) = struct.unpack_from(">I", index, start + 12)
            places = struct.unpack_from(f">{count}I", index, start + 16)
            struct.pack_into(f">{count}I", index, start + 16, *(place - moved for place in places))
    return bytes(parts["ftyp"] + index + parts["mdat"])


def copied(source, output, change: Callable[[int, av.Packet], None] = lambda _number, _packet: None) -> None:
    streams = {stream.index: output.add_stream_from_template(stream) for stream in source.streams}
    for number, packet in enumerate(packet for packet in source.demux() if packet.size):
        packet.stream = streams[packet.stream_index]
        change(number, packet)
        output.mux(packet)


def cut_at_every_box() -> Files:
    data = fast_start()
    for number, (path, start, end) in enumerate(boxes(data)):
        name = path.replace("/", ".")
        yield f"cut/{number:02} before {name}.mp4", data[: start + 4]
        if end - start > 16:
            yield f"cut/{number:02} in {name}.mp4", data[: (start + end) // 2]


def damaged() -> Files:
    """One byte in a hundred is another, anywhere, or in the first kilobyte only; and halves."""
    for number, suffix in enumerate(_FORMATS):
        data, rng = bytearray(good(suffix)), np.random.default_rng(number)
        for at in rng.choice(len(data), max(1, len(data) // 100), replace=False):
            data[at] ^= 1 << rng.integers(8)
        yield f"damaged/anywhere.{suffix}", bytes(data)
        head = bytearray(good(suffix))
        for at in rng.choice(min(1024, len(head)), 10, replace=False):
            head[at] = rng.integers(256)
        yield f"damaged/head.{suffix}", bytes(head)
        yield f"damaged/half.{suffix}", good(suffix)[: len(good(suffix)) // 2]


def nothing() -> Files:
    yield "nothing/empty.mp4", b""
    yield "nothing/one byte.mp4", b"\0"
    yield "nothing/zeros.mp4", bytes(100_000)
    yield "nothing/ones.mp4", b"\xff" * 100_000
    yield "nothing/noise.mp4", np.random.default_rng(0).bytes(100_000)
    yield "nothing/ftyp alone.mp4", fast_start()[:32]
    yield "nothing/sync bytes.ts", (b"G" + bytes(187)) * 500
    yield "nothing/ID3 alone.mp3", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(1000)


def png(width: int, height: int, body: bytes, *more: bytes, kind: int = 2) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)), *(chunk(one[:4], one[4:]) for one in more)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@cache
def zeros(size: int) -> bytes:
    """So many zero bytes, deflated."""
    packer, left, parts = zlib.compressobj(9), size, []
    while left > 0:
        parts.append(packer.compress(bytes(min(left, 1 << 22))))
        left -= 1 << 22
    return b"".join([*parts, packer.flush()])


def sizes() -> Files:
    """Pictures that claim to be larger than any memory, or are."""
    yield "sizes/claims 60000 x 60000.png", png(60_000, 60_000, zeros(1000))
    yield "sizes/claims 2 to the 31.png", png(2**31 - 1, 2**31 - 1, zeros(1000))
    yield "sizes/no pixels.png", png(0, 0, zeros(1000))
    yield "sizes/is 8192 x 8192.png", png(8192, 8192, zeros(8192 * (8192 * 3 + 1)))
    yield "sizes/a gigabyte in a comment.png", png(16, 16, zeros(16 * 49), b"zTXtcomment\0\0" + zeros(1 << 30))
    yield "sizes/a gigabyte as colour profile.png", png(16, 16, zeros(16 * 49), b"iCCPicc\0\0" + zeros(1 << 30))
    yield "sizes/a gigabyte of pixels too many.png", png(16, 16, zeros(1 << 30))
    jpeg = bytearray(good("jpg"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = HUGE
    yield "sizes/claims 65535 x 65535.jpg", bytes(jpeg)
    gif = bytearray(good("gif"))
    gif[6:10] = HUGE
    yield "sizes/claims 65535 x 65535.gif", bytes(gif)
    yield (
        "sizes/claims 2 to the 31.bmp",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 1000, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(900),
    )
    yield "sizes/claims 65535.tga", struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 65535, 65535, 24, 0) + bytes(1000)
    yield "sizes/claims much.pnm", b"P6\n100000 100000\n255\n" + bytes(1000)
    film = patched(patched(fast_start(), "trak/tkhd", 76, HUGE * 2), "stbl/stsd", 40, HUGE)
    yield "sizes/claims 65535 x 65535.mp4", film
    avi = bytearray(good("avi"))
    at = avi.index(b"strf") + 12
    avi[at : at + 8] = struct.pack("<ii", 2**31 - 1, 2**31 - 1)
    yield "sizes/claims 2 to the 31.avi", bytes(avi)
    for width, height in ((1, 1), (1, 4000), (4000, 1), (3, 5)):
        picture = io.BytesIO()
        Image.new("RGB", (width, height), (90, 30, 200)).save(picture, "PNG")
        yield f"sizes/{width} x {height}.png", picture.getvalue()


def bombs() -> Files:
    """Little to send, much to do."""
    frame = io.BytesIO()
    Image.new("P", (8000, 8000)).save(frame, "GIF")
    start = frame.getvalue().index(b"\x2c", 13 + 3 * (2 << (frame.getvalue()[10] & 7)))
    head, body = frame.getvalue()[:start], frame.getvalue()[start:-1]
    yield "bombs/300 large frames.gif", head + body * 300 + b";"
    small = io.BytesIO()
    Image.new("P", (1, 1)).save(small, "GIF")
    start = small.getvalue().index(b"\x2c", 13)
    yield "bombs/100000 frames.gif", small.getvalue()[:start] + small.getvalue()[start:-1] * 100_000 + b";"
    yield "bombs/an hour of 1 Hz.wav", wav(1, 1, 16, bytes(8000))
    yield (
        "bombs/a gigabyte of index, deflated.mp4",
        fast_start()[:32] + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", HUGE, zeros(1 << 30)))),
    )
    yield "bombs/zeros of a day.wav", wav(8000, 1, 8, bytes(20_000_000))
    yield "bombs/frames that hold nothing.mjpeg", b"\xff\xd8\xff\xd9" * 200_000


def wav(rate: int, channels: int, bits: int, body: bytes, *, claims: int | None = None) -> bytes:
    claims = len(body) if claims is None else claims
    block = max(1, channels * bits // 8)
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, channels, rate, (rate * block) & 0xFFFFFFFF, block & 0xFFFF, bits, b"data", claims)
    return b"RIFF" + struct.pack("<I", (claims + 36) & 0xFFFFFFFF) + b"WAVE" + head + body


def lengths() -> Files:
    """Headers that claim what the data does not hold."""
    film = fast_start()
    table = {
        "mvhd of 584 million years": ("moov/mvhd", 16, HUGE),
        "mvhd without a clock": ("moov/mvhd", 12, bytes(4)),
        "mdhd without a clock": ("mdia/mdhd", 12, bytes(4)),
        "mdhd with a fast clock": ("mdia/mdhd", 12, HUGE),
        "4 billion samples of one size": ("stbl/stsz", 4, struct.pack(">II", 1000, 2**32 - 1)),
        "4 billion samples": ("stbl/stsz", 4, struct.pack(">II", 0, 2**32 - 1)),
        "250 million samples, 1 GB of index": ("stbl/stsz", 4, struct.pack(">II", 4, 250_000_000)),
        "times of 4 billion samples": ("stbl/stts", 8, HUGE),
        "times in 4 billion runs": ("stbl/stts", 4, HUGE),
        "samples of no length": ("stbl/stts", 12, bytes(4)),
        "samples that last for ever": ("stbl/stts", 12, b"\x7f" + HUGE[1:]),
        "4 billion chunks": ("stbl/stco", 4, HUGE),
        "chunks beyond the end": ("stbl/stco", 8, HUGE),
        "chunks in the header": ("stbl/stco", 8, bytes(4)),
        "4 billion runs of chunks": ("stbl/stsc", 4, HUGE),
        "chunks of 4 billion samples": ("stbl/stsc", 12, HUGE),
        "an edit list that goes backwards": ("edts/elst", 12, b"\x80" + bytes(3)),
        "an edit list of for ever": ("edts/elst", 8, HUGE),
        "4 billion edits": ("edts/elst", 4, HUGE),
        "4 billion descriptions": ("stbl/stsd", 4, HUGE),
    }
    for name, (path, offset, value) in table.items():
        yield f"lengths/{name}.mp4", patched(film, path, offset, value)
    yield "lengths/4 GB of sound.wav", wav(8000, 1, 16, bytes(8000), claims=2**32 - 40)
    yield "lengths/65535 channels.wav", wav(48000, 65535, 16, bytes(200_000))
    yield "lengths/no rate.wav", wav(0, 1, 16, bytes(8000))
    yield "lengths/4 GHz.wav", wav(2**32 - 1, 1, 16, bytes(80_000))
    yield "lengths/64 channels.wav", wav(8000, 64, 16, bytes(800_000))
    flac = bytearray(good("flac"))
    flac[21:26] = b"\xff" * 5
    yield "lengths/69 billion samples.flac", bytes(flac)
    mkv = good("mkv")
    yield (
        "lengths/for ever.mkv",
        mkv.replace(b"\x44\x89\x88", b"\x44\x89\x88\x7f\xef\xff\xff\xff\xff\xff\xff"[:3]).replace(
            mkv[mkv.index(b"\x44\x89\x88") + 3 :][:8], struct.pack(">d", 1e300), 1
        ),
    )
    scale = mkv.index(b"\x2a\xd7\xb1\x83") + 4
    yield "lengths/no clock.mkv", mkv[:scale] + bytes(3) + mkv[scale + 3 :]
    ogg = bytearray(good("ogg"))
    at = ogg.rindex(b"OggS") + 6
    ogg[at : at + 8] = struct.pack("<q", 2**62)
    yield "lengths/2 to the 62 samples.ogg", bytes(ogg)


def times() -> Files:
    """Timestamps that stand, jump, go backwards."""
    source = good("mkv")
    changes: dict[str, Callable[[int, int], int]] = {
        "all the same": lambda _n, _t: 0,
        "backwards": lambda _n, t: 10_000 - t,
        "ten years later": lambda n, t: t + (315_000_000_000 if n > 8 else 0),
        "to and fro": lambda n, t: t + (-1) ** n * 400,
        "before the beginning": lambda _n, t: t - 100_000,
    }
    for name, change in changes.items():
        for suffix, muxer in (("nut", "nut"), ("mkv", "matroska"), ("ts", "mpegts")):
            made = io.BytesIO()
            try:
                with av.open(io.BytesIO(source)) as film, av.open(made, "w", format=muxer) as output:
                    copied(film, output, _moved(change))
            except (av.FFmpegError, OverflowError):  # this muxer refuses to write it
                if len(made.getvalue()) < 1000:
                    continue
            yield f"times/{name}.{suffix}", made.getvalue()


def _moved(change: Callable[[int, int], int]) -> Callable[[int, av.Packet], None]:
    def move(number: int, packet: av.Packet) -> None:
        packet.pts = packet.dts = change(number, packet.pts or 0)

    return move


def names_that_lie() -> Files:
    yield "lies/film.wav", good("mp4")
    yield "lies/sound.mp4", good("wav")
    yield "lies/picture.mp3", good("png")
    yield "lies/film.jpg", good("mkv")
    yield "lies/text.mp4", b"hello, this is a letter\n" * 100
    yield "lies/page.mp4", b"<!doctype html><html><body>404</body></html>"
    yield "lies/document.mp4", b"%PDF-1.7\n\xff\xfe" + bytes(range(256)) * 4
    yield "lies/program.mkv", b"\x7fELF\2\1\1" + bytes(500)
    yield "lies/pickle.mp4", b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94." * 9
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../film.mp4", bytes(10_000_000))
    yield "lies/archive.mp4", archive.getvalue()
    yield "lies/picture and archive.png", good("png") + archive.getvalue()
    yield "lies/film and page.mp4", good("mp4") + b"<script>alert(1)</script>"


def nesting() -> Files:
    yield "nesting/20000 boxes deep.mp4", fast_start()[:32] + nested(20_000)
    yield "nesting/20000 tracks deep.mp4", fast_start()[:32] + box(b"moov", nested(20_000, b"trak"))
    yield "nesting/100000 empty boxes.mp4", fast_start()[:32] + box(b"free") * 100_000 + fast_start()[32:]
    yield "nesting/3000 lists deep.avi", _lists(3000)
    yield "nesting/50000 ID3.mp3", b"ID3\4\0\0\0\0\0\0" * 50_000 + good("mp3")
    tags = b""
    for _ in range(3000):
        tags = b"\x67\xc8" + (0x10000000 | len(tags)).to_bytes(4, "big") + tags
    mkv = good("mkv")
    yield "nesting/3000 tags deep.mkv", mkv + b"\x12\x54\xc3\x67" + (0x10000000 | len(tags)).to_bytes(4, "big") + tags


def _lists(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = b"LIST" + struct.pack("<I", 4 + len(data)) + b"hdrl" + data
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"AVI " + data


def indexes() -> Files:
    """Where the index should be."""
    film = fast_start()
    parts = {path: film[a:b] for path, a, b in boxes(film) if "/" not in path}
    yield "index/none.mp4", parts["ftyp"] + parts["mdat"]
    yield "index/alone.mp4", parts["ftyp"] + parts["moov"]
    yield "index/twice.mp4", parts["ftyp"] + parts["moov"] * 2 + parts["mdat"]
    yield "index/empty.mp4", parts["ftyp"] + box(b"moov") + parts["mdat"]
    yield "index/within itself.mp4", parts["ftyp"] + box(b"moov", parts["moov"]) + parts["mdat"]
    yield "index/of 16 exabytes.mp4", parts["ftyp"] + struct.pack(">I4sQ", 1, b"moov", 2**64 - 1) + parts["moov"][8:]
    yield "index/of no size.mp4", parts["ftyp"] + bytes(4) + parts["moov"][4:] + parts["mdat"]
    made = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(io.BytesIO(good("mp4"))) as source, av.open(made, "w", format="mp4", options=flags) as output:
        copied(source, output)
    pieces = made.getvalue()
    first = pieces.index(b"moof") - 4
    yield "index/in pieces.mp4", pieces
    yield "index/pieces without the first.mp4", pieces[first:]
    yield "index/a piece cut off.mp4", pieces[: (first + len(pieces)) // 2]
    run = pieces.index(b"trun") + 8
    yield "index/a piece of 4 billion samples.mp4", pieces[:run] + HUGE + pieces[run + 4 :]


def streams() -> Files:
    """Too many, none that counts, or of another kind than they say."""
    yield "streams/one hundred.mka", _many(100)
    yield "streams/two thousand.ts", _many_programs(2000)
    film = fast_start()
    for name, new in (("says HEVC", b"hvc1"), ("says AV1", b"av01"), ("says ProRes", b"apcn"), ("says nothing known", b"????")):
        yield f"streams/{name}.mp4", film.replace(b"avc1", new).replace(b"mp4v", new)
    yield "streams/film as sound.mp4", film.replace(b"vide", b"soun", 1)
    yield "streams/sound as film.mp4", film.replace(b"soun", b"vide", 1)
    yield "streams/sound without its header.mp4", film.replace(b"esds", b"free")
    yield "streams/film without its header.mp4", film.replace(b"avcC", b"free")
    yield "streams/subtitles alone.mkv", _subtitles("matroska", "subrip")
    yield "streams/subtitles alone.mp4", _subtitles("mp4", "mov_text")
    yield "streams/subtitles alone.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"
    yield (
        "streams/cover alone.mp3",
        b"ID3\3\0\0"
        + _syncsafe(len(good("png")) + 25)
        + b"APIC"
        + struct.pack(">I", len(good("png")) + 14)
        + b"\0\0\0image/png\0\3\0"
        + good("png"),
    )
    sizes_apart = io.BytesIO()
    with (
        av.open(io.BytesIO(good("mkv"))) as a,
        av.open(io.BytesIO(good("avi"))) as b,
        av.open(sizes_apart, "w", format="matroska") as output,
    ):
        copied(a, output)
        stream = output.streams[0]
        for packet in b.demux(b.streams.video[0]):
            if packet.size:
                packet.stream = stream
                packet.pts = packet.dts = 2000 + 40 * (packet.dts or 0)
                packet.time_base = Fraction(1, 1000)
                output.mux(packet)
    yield "streams/another codec half-way.mkv", sizes_apart.getvalue()


def _many(n: int) -> bytes:
    made = io.BytesIO()
    with av.open(made, "w", format="matroska") as output:
        for stream in [output.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(n)]:
            frame = av.AudioFrame.from_ndarray(np.full((1, 800), 99, np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            output.mux(stream.encode(frame))
    return made.getvalue()


def _many_programs(n: int) -> bytes:
    """A transport stream whose programs each have a stream, as far as one section can name them."""
    data = b""
    for pid in range(32, 32 + n):
        pes = b"\0\0\1\xe0\0\0\x80\x80\5!\0\1\0\1" + bytes([pid & 255]) * 170
        data += b"G" + struct.pack(">H", 0x4000 | pid) + b"\x10" + pes[:184].ljust(184, b"\xff")
    return data


def _subtitles(muxer: str, codec: str) -> bytes:
    """A container with one line of text and nothing else."""
    made, text = io.BytesIO(), b"1\n00:00:00,000 --> 00:00:01,000\nhello\n\n"
    with av.open(io.BytesIO(text), format="srt") as source, av.open(made, "w", format=muxer) as output:
        stream = output.add_stream_from_template(source.streams[0]) if codec == "subrip" else None
        if stream is None:
            return fast_start().replace(b"vide", b"text").replace(b"soun", b"text").replace(b"avc1", b"tx3g").replace(b"mp4a", b"tx3g")
        for packet in source.demux():
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return made.getvalue()


def _syncsafe(n: int) -> bytes:
    return bytes((n >> shift) & 127 for shift in (21, 14, 7, 0))


def descriptions() -> Files:
    """Far more words than film."""
    long = "漢" * 7_000_000
    yield "words/20 MB of title.mp4", _tagged("mp4", {"title": long})
    yield "words/20 MB of title.mkv", _tagged("matroska", {"title": long})
    yield "words/20000 tags.mkv", _tagged("matroska", {f"tag {number}": "x" * 50 for number in range(20_000)})
    yield "words/control characters.mkv", _tagged("matroska", {"title": "a\x1b[31mb\r\nc\u202e\ufffe"})
    note = PngImagePlugin.PngInfo()
    note.add_text("comment", "x" * 10_000_000)
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 90, 30)).save(picture, "PNG", pnginfo=note)
    yield "words/10 MB of comment.png", picture.getvalue()
    yield "words/no Unicode.mkv", _tagged("matroska", {"title": "Z" * 99}).replace(b"Z" * 99, b"\xff\xfe\x80" * 33)
    yield "words/ID3 that claims 256 MB.mp3", b"ID3\4\0\0\x7f\x7f\x7f\x7fTIT2\x7f\x7f\x7f\x7f\0\0\3" + good("mp3")


def _tagged(muxer: str, tags: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with av.open(io.BytesIO(good("mkv"))) as source, av.open(made, "w", format=muxer) as output:
        output.metadata.update(tags)
        copied(source, output)
    return made.getvalue()


def pixels() -> Files:
    """Pixels of other kinds than cameras make."""
    for pix_fmt in ("gray", "gray16le", "rgb48le", "yuva444p", "yuv410p", "yuv444p16le", "bgra", "gbrp10le"):
        yield f"pixels/{pix_fmt}.mkv", good("mkv", sound=False, video_codec="ffv1", pix_fmt=pix_fmt)
    for pix_fmt in ("monow", "gbrp", "rgb555le"):
        yield f"pixels/{pix_fmt}.avi", good("avi", sound=False, video_codec="rawvideo", pix_fmt=pix_fmt)
    for mode in ("1", "P", "LA", "I;16", "CMYK"):
        picture = io.BytesIO()
        Image.new(mode, (64, 48)).save(picture, "TIFF")
        yield f"pixels/{mode.replace(';', ' ')}.tif", picture.getvalue()
    squeezed = fast_start()
    yield "pixels/a thousand times wider.mp4", squeezed.replace(b"pasp\0\0\0\1\0\0\0\1", b"pasp\0\0\3\xe8\0\0\0\1")


FAMILIES: dict[str, Callable[[], Files]] = {
    "cut": cut_at_every_box,
    "damaged": damaged,
    "nothing": nothing,
    "sizes": sizes,
    "bombs": bombs,
    "lengths": lengths,
    "times": times,
    "lies": names_that_lie,
    "nesting": nesting,
    "index": indexes,
    "streams": streams,
    "words": descriptions,
    "pixels": pixels,
}


def corpus() -> Files:
    for family in FAMILIES.values():
        yield from family()
