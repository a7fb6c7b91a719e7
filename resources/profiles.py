"""Which world this process works in: the only file that knows the environment."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date

import dagster as dg

from avrec_dag.errors import SettingError
from avrec_dag.experiments import arms
from avrec_dag.lifecycle import Lifecycle
from avrec_dag.limits import Limits
from avrec_dag.media.sampling import Sampling
from avrec_dag.moderation.policy import Policy
from avrec_dag.recommend.model import DEFAULT, names_of
from avrec_dag.recommend.reranking.knobs import METHODS, MOST_PER_CREATOR, Knobs, method_of
from avrec_dag.s3 import Access
from avrec_dag.steps import Recipe
from resources import webhook
from resources.compute import Compute
from resources.environment import day, one_of, read, within
from resources.feedback import Feedback
from resources.lists import Lists
from resources.logs import FORMS
from resources.media import Media
from resources.service import Service
from resources.store import Store

_START = date(2026, 1, 1)


@dataclass(frozen=True)
class Settings:
    """Everything that the environment decides. Nothing is reached or read before it is used.

    Attributes:
        media: AVREC_MEDIA: the uploads, a folder or `s3://bucket/prefix`.
        store: AVREC_STORE: tables and blobs, a folder or `s3://bucket/prefix`.
        feedback: AVREC_FEEDBACK: SQLAlchemy URL of the feedback log; may hold a password.
        feedback_weights: AVREC_FEEDBACK_WEIGHTS: what each kind of event says, a preset or a JSON or TOML file.
        engine: AVREC_ENGINE: `local`, `inline`, `ray` or a Ray address.
        limits: AVREC_LIMITS: what one upload may cost, such as `memory_mb=512,wall_s=60`.
        encoders: AVREC_ENCODERS: name of an encoder preset.
        start: AVREC_START: the first day of the library, YYYY-MM-DD; older uploads belong to it.
        queue: AVREC_UPLOADS_QUEUE: URL of an SQS queue that the bucket notifies.
        relist_s: AVREC_UPLOADS_RELIST_S: in so many seconds every day of the uploads is listed once.
        guard: AVREC_GUARD: share of a day's items that may vanish at once, 0 to 1.
        speech: AVREC_SPEECH: the speech recogniser: auto, off, packaged, or hub:NAME with the name or folder of a Whisper model.
        dnsmos: AVREC_DNSMOS: who judges how speech sounds: auto, off or packaged.
        screen_text: AVREC_SCREEN_TEXT: the reader of text on screen: off or packaged.
        knobs: AVREC_RELEVANCE, _QUALITY, _DIVERSITY, _PERSONAL_DIVERSITY, _CALIBRATION, _PER_CREATOR, _DIVERSITY_METHOD and _EXPLORATION:
            what counts how much in a list.
        moderation: AVREC_MODERATION: the model that scores pictures: packaged, off or hub:NAME.
        moderation_policy: AVREC_MODERATION_POLICY: what scores lead to, `hold=0.6,block=0.9` or a JSON file.
        recommender: AVREC_RECOMMENDER: the models that recommend, joined by `+`.
        s3: AVREC_S3_ADDRESSING, _ENCRYPTION, _REQUESTER_PAYS and _PATIENCE_S: how S3 is asked, beyond what the AWS variables say.
        failure_webhook: AVREC_FAILURE_WEBHOOK: where failed runs are told by POST, an http or https address; a secret.
        log: AVREC_LOG: how the library logs to stderr, text or json; empty: not at all but for warnings.
        retention: AVREC_RETENTION: how many days feedback and histories of evaluations are kept, `feedback_events=365`.
        experiment: AVREC_EXPERIMENT: arms that differ in their lists, and who is in which: a JSON file or its text; none where it is empty.
        service: AVREC_KEYS, _CURSOR_KEY, _RATE, _CORS, _OIDC_ISSUER, _OIDC_AUDIENCE, _STREAM, _HEADERS_S and _BODY_S: who may ask
            the service, how it sends films, how long it waits for a request.
        sampling: AVREC_FRAMES_PER_SECOND, _PER_SHOT, _CAP, _LONG_SIDE_PX and _JPEG_QUALITY.
    """

    media: str = "var/media"
    store: str = "var/store"
    feedback: str = field(default="sqlite:///var/feedback.db", repr=False)
    engine: str = "local"
    encoders: str = "packaged"
    start: date = _START
    guard: float = 0.5
    speech: str = "auto"
    dnsmos: str = "auto"
    screen_text: str = "off"
    moderation: str = "packaged"
    moderation_policy: Policy = field(default_factory=Policy)
    recommender: str = DEFAULT
    sampling: Sampling = field(default_factory=Sampling)
    knobs: Knobs = field(default_factory=Knobs)
    feedback_weights: str = "default"
    limits: Limits = field(default_factory=Limits)
    failure_webhook: str = field(default="", repr=False)
    log: str = ""
    s3: Access = field(default_factory=Access)
    queue: str = ""
    relist_s: float = 600.0
    retention: Lifecycle = field(default_factory=Lifecycle)
    experiment: arms.Experiment | None = None
    service: Service = field(default_factory=Service)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """The settings of this process, or of a given environment; an empty value counts as absent.

        Raises:
            SettingError: A value cannot be what its name says.
        """
        env = os.environ if environ is None else environ
        usual = Sampling()
        return cls(
            media=env.get("AVREC_MEDIA") or cls.media,
            store=env.get("AVREC_STORE") or cls.store,
            feedback=env.get("AVREC_FEEDBACK") or cls.feedback,
            feedback_weights=env.get("AVREC_FEEDBACK_WEIGHTS") or cls.feedback_weights,
            engine=env.get("AVREC_ENGINE") or cls.engine,
            encoders=env.get("AVREC_ENCODERS") or cls.encoders,
            start=read(env, "AVREC_START", day, "a day such as 2026-01-01, not later than today", cls.start),
            guard=read(env, "AVREC_GUARD", within(float, 0, 1), "a share from 0 to 1, such as 0.5", cls.guard),
            speech=env.get("AVREC_SPEECH") or cls.speech,
            dnsmos=env.get("AVREC_DNSMOS") or cls.dnsmos,
            screen_text=env.get("AVREC_SCREEN_TEXT") or cls.screen_text,
            moderation=env.get("AVREC_MODERATION") or cls.moderation,
            moderation_policy=Policy.read(env.get("AVREC_MODERATION_POLICY") or Policy().canonical()),
            recommender=env.get("AVREC_RECOMMENDER") or cls.recommender,
            sampling=Sampling(
                read(env, "AVREC_FRAMES_PER_SECOND", within(float, 0.001, 60), "frames a second, 0.001 to 60", usual.per_second),
                read(env, "AVREC_FRAMES_PER_SHOT", within(int, 1, 100), "a whole number from 1 to 100", usual.per_shot),
                read(env, "AVREC_FRAMES_CAP", within(int, 1, 10_000), "a whole number from 1 to 10000", usual.cap),
                read(env, "AVREC_FRAMES_LONG_SIDE_PX", within(int, 32, 4096), "pixels from 32 to 4096", usual.long_side_px),
                read(env, "AVREC_FRAMES_JPEG_QUALITY", within(int, 1, 100), "a whole number from 1 to 100", usual.jpeg_quality),
            ),
            knobs=_knobs(env),
            limits=Limits.read(env.get("AVREC_LIMITS", "")),
            failure_webhook=webhook.read_address("AVREC_FAILURE_WEBHOOK", env),
            log=read(env, "AVREC_LOG", one_of(FORMS), f"one of {', '.join(FORMS)}", ""),
            s3=Access.read(env),
            queue=env.get("AVREC_UPLOADS_QUEUE") or cls.queue,
            service=Service.read(env),
            retention=Lifecycle.read(env.get("AVREC_RETENTION", "")),
            experiment=arms.read(env.get("AVREC_EXPERIMENT", "")),
            relist_s=read(env, "AVREC_UPLOADS_RELIST_S", within(float, 0, 86_400), "seconds from 0 to 86400", cls.relist_s),
        )

    def recipe(self) -> Recipe:
        """What of the settings enters the code versions.

        Raises:
            SettingError: No encoder preset, recogniser or model has this name, or it is not installed.
        """
        from avrec_dag.encoders import recognition, screen_text
        from avrec_dag.encoders.packaged import dnsmos
        from avrec_dag.encoders.registry import preset
        from avrec_dag.feedback.reading import read_rules
        from avrec_dag.moderation.classifiers import identity

        speech, reader = recognition.chosen(self.speech), screen_text.chosen(self.screen_text)
        listener = dnsmos.chosen(self.dnsmos)
        return Recipe(
            **preset(self.encoders).recipe(),
            sampling=self.sampling.canonical(),
            speech=speech.identity if speech else recognition.OFF,
            screen_text=reader.identity if reader else recognition.OFF,
            moderation=identity(self.moderation),
            moderation_policy=self.moderation_policy.canonical(),
            dnsmos=listener.identity if listener else recognition.OFF,
            feedback=read_rules(self.feedback_weights).identity,
            lists=self.knobs.canonical(),
            recommender="+".join(names_of(self.recommender)),
        )

    def resources(self) -> dict[str, object]:
        """The resources of the code location, by the name that assets ask for."""
        s = self.sampling
        return {
            "store": Store(uri=self.store),
            "media": Media(
                uri=self.media,
                guard=self.guard,
                queue=self.queue,
                relist_s=self.relist_s,
                frames_per_second=s.per_second,
                frames_per_shot=s.per_shot,
                frames_cap=s.cap,
                frames_long_side_px=s.long_side_px,
                frames_jpeg_quality=s.jpeg_quality,
            ),
            "compute": Compute(
                engine=self.engine,
                limits=self.limits.canonical(),
                encoders=self.encoders,
                speech=self.speech,
                dnsmos=self.dnsmos,
                screen_text=self.screen_text,
                moderation=self.moderation,
                recommender=self.recommender,
            ),
            "feedback": Feedback(url=_unshown("AVREC_FEEDBACK", self.feedback), weights=self.feedback_weights),
            "lists": Lists(**asdict(self.knobs)),
        }


def _unshown(name: str, value: str) -> str:
    """The variable itself in place of a value that may hold a password: Dagster's page shows what a resource is made of."""
    return dg.EnvVar(name) if not value.startswith("sqlite:") and os.environ.get(name) == value else value


def from_env() -> dict[str, object]:
    """The resources that the environment names.

    Raises:
        SettingError: A value cannot be what its name says.
    """
    return Settings.from_env().resources()


def _knobs(env: Mapping[str, str]) -> Knobs:
    share, usual = (within(float, 0, 1), "a number from 0 to 1, such as 0.3"), Knobs()
    try:
        return Knobs(
            relevance=read(env, "AVREC_RELEVANCE", *share, usual.relevance),
            quality=read(env, "AVREC_QUALITY", *share, usual.quality),
            diversity=read(env, "AVREC_DIVERSITY", *share, usual.diversity),
            personal=read(env, "AVREC_PERSONAL_DIVERSITY", *share, usual.personal),
            calibration=read(env, "AVREC_CALIBRATION", *share, usual.calibration),
            per_creator=read(
                env, "AVREC_PER_CREATOR", within(int, 1, MOST_PER_CREATOR), "a whole number from 1 to 1000", usual.per_creator
            ),
            method=read(env, "AVREC_DIVERSITY_METHOD", method_of, f"one of {', '.join(METHODS)}", usual.method),
            exploration=read(env, "AVREC_EXPLORATION", *share, usual.exploration),
        )
    except ValueError as error:
        raise SettingError(f"AVREC_RELEVANCE, AVREC_QUALITY, AVREC_DIVERSITY: {error}") from None
