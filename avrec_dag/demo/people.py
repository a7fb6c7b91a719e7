"""Made people who watch the demo's clips; the generative model is in `avrec_dag.synthetic_behaviour`."""

from datetime import date, timedelta

import numpy as np

from avrec_dag import synthetic
from avrec_dag.demo.library import DAYS, PER_KIND, made_key, real_key
from avrec_dag.demo.packaged import CLIPS
from avrec_dag.feedback import Event
from avrec_dag.synthetic_behaviour import make_events

N_PEOPLE = 60
_N_DAYS = 4


def events(seed: int = 0) -> list[Event]:
    """What the made people did, in the days after the last upload; about whole library, whether its real clips could be fetched or not.

    A made clip's class is its kind; real clips fall into four classes of taste, which nothing but these people knows of.
    """
    classes = {made_key(kind, number): kind for kind in synthetic.KINDS for number in range(PER_KIND)}
    classes |= {real_key(clip): clip.taste for clip in CLIPS}
    quality = np.random.default_rng([seed, 5]).beta(4, 3, len(classes))
    items = [(key, name, float(q)) for (key, name), q in zip(classes.items(), quality, strict=True)]
    start = date.fromisoformat(DAYS[-1]) + timedelta(days=1)
    return make_events(items, n_users=N_PEOPLE, start=start, n_days=_N_DAYS, seed=seed)
