"""The graph of items, as data: which step needs which field of which parent, and its code version.

Everything that must agree about the graph reads it here: the ledger's plans, Dagster's `deps` and `code_version`, `avrec status`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Partition = Literal["upload_day", "event_day", "whole"]
WHOLE = "all"
"""The partition name under which a table without days keeps its rows."""


@dataclass(frozen=True)
class Step:
    """One table and how its rows come about.

    Attributes:
        name: Asset = table = function = directory.
        code: Version of everything that shapes the result: code, weights digest, configuration that matters.
        needs: Parent table -> the fields of it that matter. Of several fields, an item must have at least one;
            an empty tuple orders the two steps without entering the version of an item.
        reads: Parent table -> the columns handed to the task.
        optional: Parents that an item may lack (a silent clip has no audio).
        models: Whole-library parents whose current version enters every item's version.
        partition: What the table is partitioned by.
        off: The settings switch it off: nothing calls for a row, and rows that are there go.
    """

    name: str
    code: str
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    partition: Partition = "upload_day"
    off: bool = False

    @property
    def parents(self) -> tuple[str, ...]:
        """Every table this one depends on, in order."""
        return tuple(dict.fromkeys((*self.needs, *self.models)))


@dataclass(frozen=True)
class Recipe:
    """The part of the configuration that changes results; each value enters the code version of the steps it shapes.

    Attributes:
        frame_encoder: `name@digest` of the picture encoder.
        audio_encoder: `name@digest` of the sound encoder.
        audio_events: `name@digest` of the speech, singing and music detector.
        text_encoder: `name@digest` of the text encoder.
        sampling: Canonical text of the frame sampling settings.
        joint_space: Identity of the space shared by text, picture and sound; empty: that of the text encoder.
        speech: `name@digest` of the speech recogniser, or `off`.
        screen_text: `name@digest` of the reader of text on screen, or `off`.
        moderation: `name@digest` of the model that scores pictures for moderation, or `off`.
        moderation_policy: Canonical text of what its scores lead to.
        dnsmos: `name@digest` of the model that judges speech, or `off`.
        feedback: `name@digest` of what each kind of event says (`feedback.Rules.identity`).
        lists: Canonical text of what counts how much in lists of recommendations.
        recommender: The models that recommend, joined by `+`.
    """

    frame_encoder: str
    audio_encoder: str
    audio_events: str
    text_encoder: str
    sampling: str
    joint_space: str = ""
    speech: str = "off"
    screen_text: str = "off"
    moderation: str = "off"
    moderation_policy: str = ""
    dnsmos: str = "off"
    feedback: str = ""
    lists: str = ""
    recommender: str = ""


def graph(recipe: Recipe) -> dict[str, Step]:
    """Every step in topological order, by name."""
    r = recipe
    embedded = ("vector", "joint", "model")
    joint = r.joint_space or r.text_encoder
    beside_others = "" if joint == r.text_encoder else f":{joint}"
    judged = "" if r.dnsmos == "off" else f":{r.dnsmos}:{r.audio_events}"
    steps = [
        Step("raw_media", "1"),
        Step("feedback_events", f"3:{r.feedback}", partition="event_day"),
        Step("comment_sentiment", f"1:{r.text_encoder}", {"feedback_events": ("comment",)},
             {"feedback_events": ("user_id", "media_id", "text")}, partition="event_day"),
        Step("frames", f"3:{r.sampling}", {"raw_media": ("video",)}, {"raw_media": ("kind", "duration_s", "size_bytes", "etag")}),
        Step("audio_spectrograms", f"2:{r.audio_events}", {"raw_media": ("audio",)}, {"raw_media": ("duration_s", "size_bytes", "etag")}),
        Step("frame_embeddings", f"2:{r.frame_encoder}:{joint}", {"frames": ("frames",)},
             {"frames": ("blob", "t_s", "shot", "shot_starts_s"), "raw_media": ("duration_s",)}),
        Step("audio_embeddings", f"1:{r.audio_encoder}:{joint}", {"audio_spectrograms": ("log_mel",)},
             {"audio_spectrograms": ("blob", "n_windows"), "raw_media": ("etag",)}),
        Step("transcripts", f"3:{r.speech}:{r.audio_events}", {"raw_media": ("audio",), "audio_spectrograms": ()},
             {"raw_media": ("size_bytes", "etag"), "audio_spectrograms": ("speech_share",)}, off=r.speech == "off"),
        Step("screen_text", f"1:{r.screen_text}", {"frames": ("frames",)},
             {"frames": ("blob", "t_s", "shot"), "raw_media": ("duration_s",)}, off=r.screen_text == "off"),
        Step("text_embeddings", f"2:{r.text_encoder}{beside_others}",
             {"raw_media": ("metadata",), "transcripts": ("text",), "screen_text": ("text",)},
             {"raw_media": ("title", "description", "tags"), "transcripts": ("segments", "words"), "screen_text": ("lines",)},
             optional=frozenset({"raw_media", "transcripts", "screen_text"})),
        Step("label_corrections", "1", {"raw_media": ()}, partition="whole"),
        Step("labels", "2", {"raw_media": ("labels",), "label_corrections": ("labels",)},
             {"raw_media": ("labels", "source"), "label_corrections": ("labels", "labelled_by", "labelled_at")},
             optional=frozenset({"raw_media", "label_corrections"}), partition="whole"),
        Step("fusion_model", f"1:{r.frame_encoder}:{r.audio_encoder}:{r.text_encoder}:{joint}",
             {"labels": ("labels",), "frame_embeddings": ("vector",), "audio_embeddings": ("vector",), "text_embeddings": ("vector",)},
             partition="whole"),
        Step("fused_features", "2",
             {"raw_media": (), "frame_embeddings": ("vector",), "audio_embeddings": ("vector",), "text_embeddings": ("vector",)},
             {"frame_embeddings": embedded, "audio_embeddings": embedded, "text_embeddings": ("vector", "joint", "model")},
             optional=frozenset({"frame_embeddings", "audio_embeddings", "text_embeddings"}), models=("fusion_model",)),
        Step("moderation", f"1:{r.moderation}", {"frames": ("frames",)}, {"frames": ("blob", "t_s", "shot")}, off=r.moderation == "off"),
        Step("moderation_decisions", f"2:{r.moderation_policy}", {"raw_media": (), "moderation": ("score",), "feedback_events": ()},
             partition="whole"),
        Step("technical_quality", f"6{judged}", {"raw_media": ("video", "audio"), "audio_spectrograms": ("waveform",)},
             {"raw_media": ("kind", "duration_s", "width", "height", "fps", "size_bytes", "etag"),
              "audio_spectrograms": ("peak_dbfs", "rms_dbfs", "loudness_lufs", "noise_floor_dbfs", "clipped_share",
                                     "silent_share", "sample_rate_hz", "true_peak_dbtp", "lead_silence_s", "trail_silence_s", "side_db",
                                     "balance_db", "stereo_correlation", "hum_db", "speech_share", "music_share", "duration_s")},
             optional=frozenset({"audio_spectrograms"})),
        Step("fingerprints", "1",
             {"raw_media": ("video", "audio"), "frames": ("frames",), "audio_spectrograms": ("log_mel",)},
             {"raw_media": ("fields", "duration_s"), "frames": ("blob", "t_s"), "audio_spectrograms": ("blob",)},
             optional=frozenset({"frames", "audio_spectrograms"})),
        Step("duplicates", "1",
             {"raw_media": (), "fingerprints": ("fingerprint",), "frame_embeddings": ("vector",), "audio_embeddings": ("vector",),
              "technical_quality": ()},
             optional=frozenset({"frame_embeddings", "audio_embeddings", "technical_quality"}), partition="whole"),
        Step("classifier_candidate", "3", {"labels": ("labels",), "fused_features": ("tokens",)}, partition="whole"),
        Step("classifier_decision", "1", {"classifier_candidate": ("model",)}, partition="whole"),
        Step("content_classifier", "3", {"classifier_candidate": ("model",), "classifier_decision": ("decision",)}, partition="whole"),
        Step("classifier_evaluation", "2", {"content_classifier": ("model",)}, partition="whole"),
        Step("content_classes", "2", {"fused_features": ("tokens", "joint")}, {"fused_features": ("tokens", "joint", "modalities")},
             models=("content_classifier",)),
        Step("interactions", f"3:{r.feedback}",
             {"feedback_events": ("event",), "comment_sentiment": ("sentiment",), "raw_media": ()}, partition="whole"),
        Step("aesthetic_model", "1",
             {"frame_embeddings": ("vector",), "technical_quality": ("score",), "content_classes": ("classes",), "raw_media": (),
              "feedback_events": ("event",)}, partition="whole"),
        Step("quality_scores", "4",
             {"technical_quality": ("score",), "content_classes": ("classes",), "frame_embeddings": ("vector",), "interactions": (),
              "comment_sentiment": ("sentiment",), "aesthetic_model": ("model",)},
             {"technical_quality": ("score",)}, optional=frozenset({"content_classes", "frame_embeddings"}), partition="whole"),
        Step("recommender", f"4:{r.recommender}",
             {"interactions": ("history",), "fused_features": ("vector", "joint"), "quality_scores": ()}, partition="whole"),
        Step("item_index", "4", {"fused_features": ("vector", "joint"), "frame_embeddings": ("shots",), "text_embeddings": ("moments",)},
             partition="whole"),
        Step("recommender_evaluation", f"5:{r.lists}",
             {"recommender": ("refit",), "interactions": ("history",), "item_index": ("index",), "quality_scores": (),
              "moderation_decisions": ()}, partition="whole"),
        Step("recommendations", f"5:{r.lists}",
             {"recommender": ("model",), "item_index": ("index",), "interactions": ("history",), "quality_scores": ("score",),
              "content_classes": ("classes",), "moderation_decisions": ("decision",), "duplicates": ("group",), "raw_media": ()},
             partition="whole"),
        Step("upload_delay", "1", {"recommendations": ("list",), "quality_scores": (), "raw_media": ()}, partition="whole"),
        Step("recommendation_health", f"3:{r.lists}", {"recommendations": ("list",), "duplicates": ()}, partition="whole"),
    ]  # fmt: skip
    return {step.name: step for step in steps}
