"""Copies of one another: fingerprints that survive re-encoding, cropping and watermarks, verified pairs, groups with one canonical item."""
