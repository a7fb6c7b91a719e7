"""What is said in every item: words with their times, from the stretches where somebody speaks and from no others."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import PurePosixPath

import numpy as np

from avrec_dag.encoders import devices, events, recognition
from avrec_dag.encoders.recognition import Recogniser, Sentence, Word
from avrec_dag.items import DecodesUploads, Item, Row, each
from avrec_dag.media.audio import decode_mono
from avrec_dag.media.speech_spans import Pack, packs, pieces
from avrec_dag.media.uploads import MediaSource

MOST_COMPRESSED = 2.4
"""Text that zlib makes more than so many times smaller repeats itself: a recogniser in a loop (Radford et al. 2023, section 4.5)."""
SILENT_PROB, SILENT_LOGPROB = 0.5, -0.7
"""Nobody speaks where that is at least so likely and what was made of it at most so sure."""
MOST_CHARS_PER_S = 30.0
"""Nobody says more; fast English has 20 characters a second."""
MOST_ALIKE = 2
"""The same sentence may follow itself so often."""
SURE_LANGUAGE = 0.5
_PAUSE_S = 2.0
_LATE_S = 0.1


@dataclass(frozen=True)
class Segment:
    """A sentence or part of one, where it was said in the item."""

    start_s: float
    end_s: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Transcript:
    """What is said in one item.

    Attributes:
        segments: In order.
        language: ISO 639-1 code of the language most is said in; None where nobody speaks.
        language_prob: How sure the recogniser was of it, in [0, 1].
        speech_s: Seconds that were listened to.
    """

    segments: tuple[Segment, ...] = ()
    language: str | None = None
    language_prob: float | None = None
    speech_s: float = 0.0

    @property
    def text(self) -> str:
        """Everything that is said; empty where nobody speaks."""
        return "".join(segment.text for segment in self.segments).strip()


@dataclass(frozen=True)
class Transcribe(DecodesUploads):
    """Task of transcripts: decodes the sound of items in which somebody speaks, and writes down what they say.

    Attributes:
        media_uri: The media library.
        speech: Which recogniser, as in `recognition.chosen`.
    """

    patience = 30.0

    media_uri: str
    speech: str = "packaged"

    @property
    def on_card(self) -> bool:
        """Whether it computes on a graphics card."""
        return devices.device() != "cpu"

    def __call__(self, items: Sequence[Item]) -> list[Row]:
        """One row per item; its field `text` is the hash of the text and its times, absent where nobody speaks."""
        return each(items, self._row)

    def get_ready(self, items: Sequence[Item]) -> None:
        """Load the recogniser where somebody speaks."""
        if any(item.parents["audio_spectrograms"]["speech_share"] != 0 for item in items):
            _loaded(self.speech)

    def _row(self, item: Item) -> Row:
        spec = recognition.chosen(self.speech)
        said = Transcript()
        # Deciding again what the spectrogram's pass has decided would cost a decoding of every song.
        if item.parents["audio_spectrograms"]["speech_share"] != 0:
            with MediaSource(self.media_uri).open_planned(item) as file:
                found = pieces(decode_mono(file, name=PurePosixPath(item.key).name), events.speech)
                said = transcript(packs(found), recognition.load(self.speech))
        segments = [
            {name: value for name, value in asdict(one).items() if name != "words"} | {"text": one.text.strip()} for one in said.segments
        ]
        words = [
            {"start_s": word.start_s, "end_s": word.end_s, "word": word.text.strip(), "prob": word.prob}
            for one in said.segments
            for word in one.words
        ]
        values = {
            "language": said.language, "language_prob": said.language_prob, "text": said.text, "segments": segments, "words": words,
            "speech_s": round(said.speech_s, 3), "model": spec.identity if spec else "",
        }  # fmt: skip
        told = hashlib.sha256(json.dumps([said.text, segments, words]).encode()).hexdigest()
        return item.done({"text": told} if said.text else {}, values)


@cache
def _loaded(speech: str) -> None:
    """Have the recogniser load its weights, which it does when it is first used."""
    recognition.load(speech).recognise(np.zeros(events.SAMPLE_RATE_HZ, np.float32))


def transcript(found: Iterable[Pack], recogniser: Recogniser) -> Transcript:
    """Recognise pack by pack; a pack whose language is unsure is taken to be in the language of those before it.

    Args:
        found: Stretches of speech.
        recogniser: Makes words of them.
    """
    segments: list[Segment] = []
    seconds: dict[str, float] = {}
    sure: dict[str, float] = {}
    speech_s = 0.0
    for pack in found:
        heard = recogniser.recognise(pack.samples)
        usual = max(seconds, key=lambda name: seconds[name], default=heard.language)
        if heard.language != usual and heard.language_prob < SURE_LANGUAGE:
            heard = replace(recogniser.recognise(pack.samples, usual), language_prob=heard.language_prob)
        kept = [one for sentence in believed(heard.sentences, pack) for one in placed(sentence, pack)]
        speech_s += len(pack.samples) / events.SAMPLE_RATE_HZ
        if kept:
            said_s = sum(one.end_s - one.start_s for one in kept)
            seconds[heard.language] = seconds.get(heard.language, 0.0) + said_s
            sure[heard.language] = sure.get(heard.language, 0.0) + said_s * heard.language_prob
        segments += kept
    segments = list(_without_loops(sorted(segments, key=lambda one: one.start_s)))
    if not segments:
        return Transcript(speech_s=speech_s)
    language = max(seconds, key=lambda name: seconds[name])
    return Transcript(tuple(segments), language, sure[language] / max(seconds[language], 1e-9), speech_s)


def believed(sentences: Iterable[Sentence], pack: Pack) -> Iterator[Sentence]:
    """Sentences that somebody can have said: not made of silence, not in a loop, not faster than speech, not after the end."""
    end_s = len(pack.samples) / events.SAMPLE_RATE_HZ
    for sentence in sentences:
        words = tuple(word for word in sentence.words if word.start_s < end_s - _LATE_S and word.text.strip())
        text = "".join(word.text for word in words).strip()
        encoded = text.encode()
        if not text or (sentence.no_speech_prob >= SILENT_PROB and sentence.avg_logprob <= SILENT_LOGPROB):
            continue
        if len(encoded) / len(zlib.compress(encoded)) > MOST_COMPRESSED:
            continue
        if len(text) > MOST_CHARS_PER_S * max(0.5, min(end_s, words[-1].end_s) - words[0].start_s):
            continue
        yield replace(sentence, text=text, words=words)


def placed(sentence: Sentence, pack: Pack) -> Iterator[Segment]:
    """The sentence at its place in the item; in parts where its words come from stretches of speech that lie far apart."""
    groups: list[list[Word]] = []
    for word in sentence.words:
        piece, start_s = pack.place(word.start_s)
        last, end_s = pack.place(word.end_s)
        if last != piece:  # a word does not go on after a pause that was cut out
            end_s = pack.pieces[piece].start_s + pack.pieces[piece].duration_s
        moved = Word(round(start_s, 3), round(max(start_s, end_s), 3), word.text, round(word.prob, 4))
        if groups and moved.start_s - groups[-1][-1].end_s <= _PAUSE_S:
            groups[-1].append(moved)
        else:
            groups.append([moved])
    for words in groups:
        text = "".join(word.text for word in words)
        yield Segment(
            words[0].start_s, max(word.end_s for word in words), text, round(sentence.avg_logprob, 4), round(sentence.no_speech_prob, 4),
            tuple(words),
        )  # fmt: skip


def _without_loops(segments: Iterable[Segment]) -> Iterator[Segment]:
    before, times = "", 0
    for segment in segments:
        told = segment.text.strip().casefold()
        times = times + 1 if told == before else 1
        before = told
        if times <= MOST_ALIKE:
            yield segment
