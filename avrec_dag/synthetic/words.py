"""Titles, descriptions and tags for made clips: they tell the kind only partly, in English or Chinese."""

import numpy as np

_TELLING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "stripes": (("striped fabric", "zebra lines", "parallel bands"), ("条纹布", "斑马线", "平行线条")),
    "dots": (("bouncing balls", "drifting bubbles", "polka dots"), ("跳动的小球", "漂浮的泡泡", "圆点")),
    "checkers": (("chess board", "tiled floor", "black and white squares"), ("棋盘", "地砖", "黑白方格")),
    "waves": (("ocean waves", "windy sea", "rolling water"), ("海浪", "大风中的大海", "起伏的水面")),
    "rings": (("ripples in a pond", "circles of light", "a target"), ("池塘的涟漪", "光圈", "靶子")),
    "bars": (("drum practice", "dancing equalizer", "beat of the city"), ("打鼓练习", "跳动的音柱", "城市节拍")),
    "snow": (("static on an old television", "snowstorm", "white noise"), ("旧电视的雪花", "暴风雪", "白噪声")),
    "face": (("a talking face", "cartoon interview", "someone speaking"), ("说话的脸", "卡通访谈", "有人在讲话")),
}
_VAGUE = (
    ("my clip", "take two", "an evening in June", "test of the new camera", "for my friends"),
    ("我的视频", "第二次拍摄", "六月的一个晚上", "试试新相机", "给朋友们"),
)
_TAGS = (("short", "demo", "made", "quiet", "colour", "morning"), ("短片", "演示", "安静", "彩色", "早晨"))
_CREATORS = ("ada", "chen", "noor", "sam", "mei")


def sidecar(kind: str, seed: int, *, labelled: bool = True) -> dict[str, object]:
    """What an uploader might write beside a clip of `kind`; ready to be saved as `NAME.json`.

    Args:
        kind: One of `KINDS`.
        seed: Decides language and wording. Two titles in three tell the kind; the others do not.
        labelled: Whether `labels` names the kind.
    """
    rng = np.random.default_rng([seed, sorted(_TELLING).index(kind), 3])
    chinese = int(rng.random() < 0.35)
    telling, vague = _TELLING[kind][chinese], _VAGUE[chinese]
    title = str(rng.choice(telling) if rng.random() < 0.67 else rng.choice(vague))
    tags = [str(tag) for tag in rng.choice(_TAGS[chinese], 2, replace=False)]
    if rng.random() < 0.5:
        tags.append(str(rng.choice(telling)))
    written: dict[str, object] = {
        "title": title,
        "description": f"{rng.choice(vague)}, {rng.choice(telling)}" if rng.random() < 0.5 else str(rng.choice(vague)),
        "tags": tags,
        "creator": str(rng.choice(_CREATORS)),
        "language": "zh" if chinese else "en",
        "published_at": f"2026-{int(rng.integers(1, 7)):02d}-{int(rng.integers(1, 28)):02d}",
        "source": f"{kind}-{seed}",
    }
    if labelled:
        written["labels"] = [kind]
    return written
