"""Uploads that name other files and addresses, in every way that FFmpeg knows of."""

import struct
from collections.abc import Iterator
from pathlib import Path

from tests.hostile_boxes import box
from tests.hostile_files import fast_start


def playlists(canary: Path, address: str) -> Iterator[tuple[str, bytes]]:
    """Files that would have `canary` read, or `address` (host:port) asked, if they were believed.

    Args:
        canary: A good film outside the uploads.
        address: Where somebody listens.
    """
    targets = {
        "path": str(canary),
        "file": f"file://{canary}",
        "file twice": f"file:{canary}",
        "http": f"http://{address}/a.ts",
        "tcp": f"tcp://{address}",
        "concat": f"concat:{canary}|{canary}",
        "concatf": f"concatf:{canary}",
        "subfile": f"subfile,,start,0,end,0,,:{canary}",
        "crypto": f"crypto:{canary}",
        "cache": f"cache:http://{address}/",
        "async": f"async:file:{canary}",
        "data": "data:video/mp4;base64,AAAA",
        "udp": f"udp://{address}",
        "rtmp": f"rtmp://{address}/live",
        "rtsp": f"rtsp://{address}/live",
        "hls+http": f"hls+http://{address}/",
        "ftp": f"ftp://{address}/a",
        "up": "../../canary.mp4",
    }
    texts = {
        "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{0}\n#EXT-X-ENDLIST\n",
        "concat.ffconcat": "ffconcat version 1.0\nfile '{0}'\n",
    }
    for suffix, text in texts.items():
        for name, target in targets.items():
            yield f"playlists/{name} {suffix}", text.format(target).encode()
    url = f"http://{address}/x"
    others = {
        "key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXT-X-MAP:URI="file://{canary}"\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n',
        "master.m3u8": f'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{url}"\n'
        f'#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{canary}\n',
        "dash.mpd": "<?xml version='1.0'?>"
        "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period><AdaptationSet><Representation id='1'>"
        f"<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "smooth.ism": f"<?xml version='1.0'?><SmoothStreamingMedia><StreamIndex Type='video' Url='{url}'/></SmoothStreamingMedia>",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video {} RTP/AVP 96\na=rtpmap:96 H264/90000\n".format(address.rpartition(":")[2]),
        "list.pls": f"[playlist]\nFile1={url}\nFile2={canary}\nNumberOfEntries=2\n",
        "list.xspf": f"<?xml version='1.0'?><playlist><trackList><track><location>{url}</location></track></trackList></playlist>",
        "list.asx": f"<asx version='3.0'><entry><ref href='{url}'/></entry></asx>",
        "list.smil": f"<smil><body><video src='{url}'/></body></smil>",
        "script.avs": f'DirectShowSource("{canary}")\n',
        "script.vpy": f"import os\nos.system('cat {canary}')\n",
        "picture.svg": "<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink'>"
        f"<image x:href='file://{canary}'/><image href='{url}'/></svg>",
        "words.idx": f"# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:01:000, filepos: 000000000\n# {canary}\n",
        "entities.mp4": f"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x SYSTEM 'file://{canary}'>]><a>&x;</a>",
        "cpl.xml": "<?xml version='1.0'?><CompositionPlaylist xmlns='http://www.smpte-ra.org/schemas/2067-3/2016'>"
        f"<Id>urn:uuid:1</Id>{url}</CompositionPlaylist>",
        "words.ffmeta": f";FFMETADATA1\ntitle={url}\n",
        "network.rtsp": f"rtsp://{address}/live\n",
    }
    for name, text in others.items():
        yield f"playlists/{name}", text.encode()
    for mark in ("\ufeff", "\r\n\n ", "\0\1\2"):
        yield (
            f"playlists/after {mark.encode().hex()}.mp4",
            f"{mark}#EXTM3U\n#EXTINF:3,\n{canary}\n#EXT-X-ENDLIST\n".encode() + b"\xff\0" * 50,
        )
    yield from _films(canary, url)


def _films(canary: Path, url: str) -> Iterator[tuple[str, bytes]]:
    """Films whose samples are said to lie elsewhere."""
    film = fast_start()
    own = b"\0\0\0\x0curl \0\0\0\x01"
    assert own in film
    for name, target in (("path", str(canary)), ("file", f"file://{canary}"), ("http", url)):
        elsewhere = box(b"url ", bytes(4), target.encode(), b"\0")
        yield f"playlists/samples at a {name}.mp4", _grown(film, own, elsewhere)
        alias = box(
            b"alis",
            bytes(4),
            struct.pack(">HH", 0, 2).ljust(150, b"\0"),
            struct.pack(">HH", 2, len(target)),
            target.encode(),
            b"\xff\xff\0\0",
        )
        yield f"playlists/samples at an alias of a {name}.mov", _grown(film, own, alias)
    reference = box(b"rmra", box(b"rmda", box(b"rdrf", bytes(4), b"url ", struct.pack(">I", len(url) + 1), url.encode(), b"\0")))
    yield "playlists/reference film.mov", film[:32] + box(b"moov", reference)


def _grown(film: bytes, old: bytes, new: bytes) -> bytes:
    """One box replaced by a longer one, and everything around it as much longer."""
    for _ in range(film.count(old)):
        at, data = film.index(old), bytearray(film)
        data[at : at + len(old)] = new
        for name in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
            start = data.rindex(name, 0, at) - 4
            struct.pack_into(">I", data, start, int.from_bytes(data[start : start + 4], "big") + len(new) - len(old))
        film = bytes(data)
    return film


def keys(canary: Path, address: str) -> list[str]:
    """Names that would be more than names if they were handed to FFmpeg, a shell, or a path."""
    return [
        f"concat:{canary.name}",
        "img%03d.png",
        "img*.png",
        "pipe:0",
        "fd:1",
        "-i.mp4",
        "-",
        "$(touch canary2).mp4",
        "`id`.mp4",
        "; id.mp4",
        "| id",
        f"http:{address}",
        "a\nb.mp4",
        "a\x1b[2Jb.mp4",
        "\u202egp4.exe",
        "CON.mp4",
        "a" * 200 + ".mp4",
        "~.mp4",
        "%2e%2e%2fcanary.mp4",
        "C:\\canary.mp4",
        "'; drop table raw_media; --.mp4",
        "{0.__class__}.mp4",
        "名前.mp4",
        "a.mp4.",
        " .mp4",
    ]
