"""Models that turn frames, sounds and words into vectors: the protocol, the registry, the packaged ones, and the space they share."""
