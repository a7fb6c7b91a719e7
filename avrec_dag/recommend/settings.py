"""How lists are made unless the caller says otherwise; what each knob means: `reranking.knobs`."""

K = 20
"""Length of the stored lists."""
RELEVANCE = 1.0
QUALITY = 0.1
DIVERSITY = 0.3
PERSONAL = 0.5
CALIBRATION = 0.0
PER_CREATOR = 4
EXPLORATION = 0.1
TASTE = 0.3
"""Of match against the asker's taste in search, where somebody asks; see `searching`."""
