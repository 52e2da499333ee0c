"""Shared by all packages: the root of the errors, secrets, and TOML into dataclasses.

It imports the standard library only, except for `input_range`.

Public submodules
-----------------
- `errors`: the root of the errors, hints for wrong names, texts safe to print.
- `files`: files that are written whole or not at all, and errors of decoders.
- `toml`: TOML files and tables into dataclasses.
- `input_range`: the range of the events that weights were trained on; loads numpy.
"""

from sonic_base.errors import ConfigError, SonicError, nearest_names, printable
from sonic_base.files import check_inflated_size, decoding, is_there, whole_file
from sonic_base.secrets import MASK, Secret, SecretMapping, hide, new_token
from sonic_base.toml import (
    TomlTable,
    check_keys,
    config_from_mapping,
    config_from_toml,
    config_to_mapping,
    toml_content,
    toml_table,
    value_from_toml,
)

__all__ = [
    "MASK",
    "ConfigError",
    "Secret",
    "SecretMapping",
    "SonicError",
    "TomlTable",
    "check_inflated_size",
    "check_keys",
    "config_from_mapping",
    "config_from_toml",
    "config_to_mapping",
    "decoding",
    "hide",
    "is_there",
    "nearest_names",
    "new_token",
    "printable",
    "toml_content",
    "toml_table",
    "value_from_toml",
    "whole_file",
]
