"""The errors a caller is expected to catch: each says what was tried, what was found and what to do."""


class AvrecError(Exception):
    """Base of everything this library raises on purpose."""


class SettingError(AvrecError):
    """A setting cannot work (missing folder, unreachable store, unknown encoder); the command line exits with 2."""


class MediaError(AvrecError):
    """One upload cannot be read; trying again with the same bytes cannot help, so it is never retried."""


class MissingError(AvrecError):
    """Something asked for by name is not in the library (an unknown media_id, user or model)."""


class WithheldError(AvrecError):
    """An item is there, and moderation lets nobody see it."""


class ModelError(AvrecError):
    """A model cannot be made, read or asked as was tried: damaged files, impossible settings, events that are no numbers."""


class ReplacedError(AvrecError):
    """An upload is no longer the one that was planned; it fails alone, and the next run takes what is there now."""


class UnreachableError(AvrecError):
    """The uploads or the store do not answer: no item's fault, so the step stops, and is tried again as a whole."""
