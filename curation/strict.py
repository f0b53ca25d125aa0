"""YAML that people write by hand, read strictly: what is wrong is said with file and place.

Must not know what the data means; templates and exemplar banks are read through here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from uniqa.errors import InputError, nearest


def read_yaml(path: Path) -> Any:
    """The one document of a YAML file.

    Raises:
        InputError: unreadable, no YAML, or a key that stands twice in one mapping.
    """
    if not path.is_file():
        raise InputError(f"no file at {path}", "Check the path")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{path} cannot be read as YAML ({place}{error.problem})") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML ({str(error).splitlines()[0]})") from error


def check_keys(
    where: str, data: Any, required: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, Any]:
    """`data`, which is a mapping with all required keys and no unknown ones.

    Args:
        where: file and part, for the message.
        data: anything.
        required, optional: the keys.

    Raises:
        InputError: it is not; the nearest known key is named.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where} is not a mapping")
    needed = set(required)
    allowed = needed | set(optional)
    for key in data:
        if key not in allowed:
            raise InputError(f"{where} has the unknown key '{key}'", nearest(str(key), allowed))
    missing = sorted(needed - set(data))
    if missing:
        raise InputError(f"{where} lacks '{missing[0]}'")
    return data


class _Loader(yaml.SafeLoader):
    """Refuses what plain YAML loading drops in silence: the first of two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"'{key.value}' stands there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
