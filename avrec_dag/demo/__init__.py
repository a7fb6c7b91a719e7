"""A library to try everything on: real clips that packages carry, made clips of known classes, made users of known tastes."""
