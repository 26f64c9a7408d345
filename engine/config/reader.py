"""Reads the config file from disk."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.config.model import Config, StoreConfig
from engine.domain.errors import ConfigError
from engine.domain.humanize import size
from engine.domain.lazy_import import lazy
from engine.system.clock import now
from engine.system.private_files import ExposedError, Exposure, read_private

if TYPE_CHECKING:
    from engine.config import parser
else:
    parser = lazy("engine.config.parser", "a start without a config file does without it")

MOST_BYTES: Final = 2_000_000
"""The largest config file: room for ten thousand targets."""
_STORE: Final = re.compile(rb"""^(?:\xef\xbb\xbf)?[ \t]*\[?[ \t]*["']?store["']?[ \t]*[].=]""", re.MULTILINE)
"""What a section `[store]` begins with, however it is written."""


def load_config(path: Path, *, required: bool) -> Config:
    """Read the config file. A missing file gives all defaults, unless it is `required`.

    Raises ConfigError, with file, key and line.
    """
    try:
        changed_at = now.at_host(path.stat().st_ctime_ns)
        text = read_config(path).decode()
    except FileNotFoundError:
        if required:
            raise ConfigError(str(path), "there is no such config file", "check --config and DBTEND_CONFIG") from None
        return Config()
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}", "it must be a readable text file") from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), "is not UTF-8 text", "a config file is TOML in UTF-8") from None
    return replace(parser.parse_config(text, str(path)), changed_at=changed_at)


def load_store(path: Path) -> StoreConfig:
    """The section `[store]`. A file without it is not parsed; of a file that cannot be read, others say why.

    Raises ConfigError.
    """
    try:
        content = read_config(path)
    except OSError:
        return StoreConfig()
    if _STORE.search(content) is None:
        return StoreConfig()
    return parser.parse_store(content.decode(errors="replace"), str(path))


def read_config(path: Path) -> bytes:
    """The content of the file. Raises ConfigError if another user could change it, as it names programs that are run;
    OSError, also if it is not a regular file or too large."""
    try:
        content = read_private(path, MOST_BYTES + 1)
    except ExposedError as error:
        raise exposed(error.exposure) from None
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"It is larger than {size(MOST_BYTES)}")
    return content


def exposed(exposure: Exposure) -> ConfigError:
    return ConfigError(exposure.path, exposure.why, exposure.fix)
