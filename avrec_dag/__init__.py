"""From a bucket of videos with sound to classes, embeddings, quality scores and recommendations."""

__version__ = "0.1.0"
