"""The classes that an unlabelled library is sorted into: general topics of everyday video, each with the phrases that stand for it."""

from collections.abc import Mapping

Prompts = tuple[tuple[str, tuple[str, ...]], ...]
"""Class name -> the phrases whose mean meaning is the class, as pairs so that it is hashable and picklable."""

_TOPICS: Mapping[str, str] = {
    "animation": "cartoon, animated film, comic strip",
    "baby": "baby, infant crying, crib",
    "bird": "bird, bird song, parrot",
    "boat": "boat, ship, sailing on the sea",
    "car": "car, driving on a road, traffic",
    "cat": "cat, kitten, meow",
    "city": "city street, buildings, skyline",
    "computer": "computer, screen recording, keyboard",
    "cooking": "cooking, kitchen, frying food",
    "crowd": "crowd, applause, cheering people",
    "dance": "dancing, ballet, dancer",
    "dog": "dog, puppy, barking",
    "drawing": "drawing, painting, art",
    "farm animal": "horse, cow, sheep, chicken",
    "fashion": "fashion, clothes, dress",
    "fire": "fire, explosion, fireworks",
    "fish": "fish, aquarium, underwater",
    "flower": "flower, garden, plants",
    "food": "food, meal, dish on a plate",
    "game": "video game, playing a game, toy",
    "insect": "insect, bee, butterfly",
    "lecture": "lecture, teaching, classroom",
    "machine": "machine, engine, factory",
    "motorcycle": "motorcycle, bicycle, riding a bike",
    "mountain": "mountain, valley, hiking",
    "music": "music, concert, band playing",
    "musical instrument": "guitar, piano, violin, drum",
    "news": "news broadcast, newsreader, interview",
    "plane": "aeroplane, aircraft, flying",
    "rain": "rain, storm, thunder",
    "sea": "beach, ocean waves, coast",
    "silence": "silence, empty room",
    "singing": "singing, song, choir",
    "snow": "snow, ski, ice",
    "space": "planet, earth from space, rocket",
    "speech": "person talking, speech, conversation",
    "sport": "sport, football, basketball",
    "text on screen": "title page, written text, menu, web site",
    "tools": "tools, hammer, drill, repair",
    "train": "train, railway, locomotive",
    "wild animal": "lion, elephant, monkey, wildlife",
    "woodland": "forest, trees, woodland",
}

TOPICS: Prompts = tuple((name, tuple(phrase.strip() for phrase in phrases.split(","))) for name, phrases in _TOPICS.items())
