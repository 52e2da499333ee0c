"""What all packages share: the root of the errors, secrets, TOML into dataclasses.

It imports the standard library only.
"""

from sonic_base.errors import ConfigError, SonicError, nearest_names
from sonic_base.secrets import Secret, SecretMapping
from sonic_base.toml import (
    config_from_mapping,
    config_from_toml,
    toml_content,
    toml_table,
)

__all__ = [
    "ConfigError",
    "Secret",
    "SecretMapping",
    "SonicError",
    "config_from_mapping",
    "config_from_toml",
    "nearest_names",
    "toml_content",
    "toml_table",
]
