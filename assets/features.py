"""What every upload looks, sounds and reads like."""

import dagster as dg

from assets import graph
from assets.results import materialized
from avrec_dag.duplicates.fingerprints import TakeFingerprints
from avrec_dag.encoders.embed import EmbedAudio, EmbedFrames
from avrec_dag.encoders.screen_text import ReadScreen
from avrec_dag.encoders.texts import EmbedText
from avrec_dag.encoders.transcripts import Transcribe
from avrec_dag.items import Task
from avrec_dag.media.frames import SampleFrames
from avrec_dag.media.spectrograms import Listen
from avrec_dag.understanding.fusion_stage import fuse_task
from resources.compute import Compute
from resources.media import Media
from resources.store import Store


@dg.asset(**graph.of("frames"), kinds={"ffmpeg", "opencv", "parquet"})
def frames(context: dg.AssetExecutionContext, store: Store, media: Media, compute: Compute) -> dg.MaterializeResult:
    """Well-spread frames of every video and still picture as JPEGs, with their times, the shot boundaries and a contact sheet."""
    return _day_of(context, store, compute, SampleFrames(media.uri, store.uri, media.sampling))


@dg.asset(**graph.of("audio_spectrograms"), kinds={"ffmpeg", "numpy", "parquet"})
def audio_spectrograms(context: dg.AssetExecutionContext, store: Store, media: Media, compute: Compute) -> dg.MaterializeResult:
    """The log-mel spectrogram of every sound track in dB, loudness by EBU R128, peak, noise, clipping, silence, speech and music."""
    return _day_of(context, store, compute, Listen(media.uri, store.uri))


@dg.asset(**graph.of("frame_embeddings"), kinds={"onnx", "parquet"}, pool=graph.GPU_POOL)
def frame_embeddings(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """One unit vector per item from its frames, the same in the space shared with text, and the classes its encoder sees."""
    return _day_of(context, store, compute, EmbedFrames(store.uri, compute.encoders))


@dg.asset(**graph.of("audio_embeddings"), kinds={"onnx", "parquet"}, pool=graph.GPU_POOL)
def audio_embeddings(context: dg.AssetExecutionContext, store: Store, media: Media, compute: Compute) -> dg.MaterializeResult:
    """One unit vector per item from its sound, the same in the space shared with text, and the events its encoder hears."""
    return _day_of(context, store, compute, EmbedAudio(store.uri, compute.encoders, media.uri))


@dg.asset(**graph.of("transcripts"), kinds={"ffmpeg", "parquet"}, pool=graph.GPU_POOL)
def transcripts(context: dg.AssetExecutionContext, store: Store, media: Media, compute: Compute) -> dg.MaterializeResult:
    """What is said in every item: text, sentences and words with their seconds; only where somebody speaks."""
    return _day_of(context, store, compute, Transcribe(media.uri, compute.speech))


@dg.asset(**graph.of("screen_text"), kinds={"onnx", "parquet"})
def screen_text(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """What stands on the screen of every item: lines of some of its frames, each once, with its place and seconds."""
    return _day_of(context, store, compute, ReadScreen(store.uri, compute.screen_text))


@dg.asset(**graph.of("text_embeddings"), kinds={"onnx", "parquet"}, pool=graph.GPU_POOL)
def text_embeddings(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """One unit vector per item from its title, description, tags and what is said and shown in it, in any of the encoder's languages."""
    return _day_of(context, store, compute, EmbedText(compute.encoders))


@dg.asset(**graph.of("fused_features"), kinds={"numpy", "parquet"})
def fused_features(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """One unit vector per item that joins picture, sound and words, and does not mind a missing one."""
    return _day_of(context, store, compute, fuse_task(store.ledger, store.uri))


@dg.asset(**graph.of("fingerprints"), kinds={"opencv", "parquet"})
def fingerprints(context: dg.AssetExecutionContext, store: Store, compute: Compute) -> dg.MaterializeResult:
    """What is remembered of every item so that its copies are known again: packet hashes, keypoints of frames, a minute of sound."""
    return _day_of(context, store, compute, TakeFingerprints(store.uri))


def _day_of(context: dg.AssetExecutionContext, store: Store, compute: Compute, task: Task) -> dg.MaterializeResult:
    step = graph.STEPS[context.asset_key.to_user_string()]
    return materialized(compute.advance(store.ledger, step, context.partition_key, task, run_id=context.run.run_id), store)
