"""What a listing of uploads says of one file, and of one folder."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of the media library as its listing tells it.

    Attributes:
        key: Path below the media library, with `/` and extension; it is the media_id.
        size_bytes: Size.
        etag: Changes whenever the bytes do: S3's ETag; for a folder, the modification time in nanoseconds.
        uploaded_at: S3's LastModified; for a folder, the modification time.
        dated: Whether `uploaded_at` tells the day of the upload; a folder's modification times survive copying.
        changed_at_s: UNIX seconds at which it came or changed, where `uploaded_at` does not tell.
    """

    key: str
    size_bytes: int
    etag: str
    uploaded_at: datetime
    dated: bool = False
    changed_at_s: float = 0.0

    @property
    def at_rest_since_s(self) -> float:
        """UNIX seconds of the last change."""
        return max(self.changed_at_s, self.uploaded_at.timestamp())


@dataclass(frozen=True, slots=True)
class Level:
    """One folder without what is below it.

    Attributes:
        folders: Its folders, relative to the library, with `/` at their ends.
        uploads: Its files.
        complete: Whether this is all of it.
    """

    folders: tuple[str, ...]
    uploads: tuple[Upload, ...]
    complete: bool = True
