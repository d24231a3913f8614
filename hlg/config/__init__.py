"""The configuration of all programs: keys with types, units and help, loaded strictly, written back as YAML."""

from hlg.config.keys import KEYS, Affects, Config, keys_that_affect
from hlg.config.load import load
from hlg.config.text import dump, help_text

__all__ = ["KEYS", "Affects", "Config", "dump", "help_text", "keys_that_affect", "load"]
