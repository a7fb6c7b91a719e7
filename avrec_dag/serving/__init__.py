"""The HTTP service: lists, similar items, search, feedback and the media themselves, with one page to try them on."""
