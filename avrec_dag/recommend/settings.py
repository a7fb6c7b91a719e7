"""How lists are made unless the caller says otherwise."""

K = 20
"""Length of the stored lists."""
DIVERSITY = 0.3
"""Of relevance against variety in re-ranking, see `rerank`."""
QUALITY = 0.1
"""Of relevance against quality in the score, see `blend`."""
