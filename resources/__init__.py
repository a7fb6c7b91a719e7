"""The outside world as verbs: the store, the uploads, the engine, the encoders and the feedback log; `profiles` says which."""
