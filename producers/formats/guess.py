"""A columns file for an unknown file: its columns by the meaning of their names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from producers.io.content import FileContent
from producers.io.root import is_list
from producers.model.schema import CARTESIAN, MEMBERS, POLAR

WIDTH = 80

POINT = (
    *("spacepoints", "spacepoint", "space", "points", "point", "sp"),
    *("hits", "hit", "clusters", "cluster", "cl", "measurements", "measurement"),
    *("meas", "digis", "digi", "pixels", "pixel", "pix", "strips", "strip"),
)
PLACE = (
    *("positions", "position", "pos", "coordinates", "coordinate", "coord"),
    *("global", "glob", "g", "f", "m", "reco", "rec", "tracker", "trk", "detector"),
)
SIMULATED = ("true", "truth", "mc", "sim", "gen", "generated")
OTHERS = (
    *("particle", "particles", "part", "track", "tracks", "jet", "jets", "vertex"),
    *("vertices", "vtx", "pv", "muon", "electron", "ele", "photon", "calo", "step"),
)
NO_PLACE = (
    *("p", "mom", "momentum", "err", "error", "sigma", "cov", "var", "variance", "res"),
    *("residual", "local", "loc", "dir", "direction", "normal", "charge", "index"),
    *("start", "end", "size", "width", "pull", "weight", "energy", "time"),
)
"""Words that tell whose coordinate a column is."""

AXES = {"x": "x", "y": "y", "z": "z", "r": "r", "rho": "r", "rt": "r", "phi": "phi"}
_WORDS = "|".join(sorted((*POINT, *PLACE, *SIMULATED), key=len, reverse=True))
_AXIS = re.compile(
    rf"(?P<before>(?:{_WORDS})*)(?P<axis>phi|rho|rt|x|y|z|r)(?P<after>(?:{_WORDS})*)"
)
_EVENT = re.compile(r"i?(event|evt|ev)(number|num|nr|no|n|id|index)?")


class _Guess(NamedTuple):
    """Columns of one tree that are probably positions of space points."""

    score: int
    tree: str
    names: dict[str, str]  #: columns by the keys of a columns file
    is_flat: bool  #: a number per row, not a list per event


def columns_file(content: FileContent) -> str:
    """Return the text of a columns file with the best guesses; empty if there is none.

    Lines have at most 80 columns. Columns that no name tells are written as ``"?"``,
    with the candidates in comments.
    """
    if content.container == "root":
        tables = dict(content.root_tables)
        entries = content.root_entries
    elif content.container == "parquet":
        tables, entries = {"": content.parquet_columns}, {}
    else:
        return ""
    guesses = sorted(_guesses(tables), key=lambda guess: -guess.score)
    best = guesses[0] if guesses else None
    largest = max(tables, key=lambda name: entries.get(name, 0), default="")
    tree = best.tree if best is not None else largest
    lines = ["[columns]"]
    if tree:
        lines.append(f"tree = {_quoted(tree)}")
    lines += _event_lines(tables, entries, tree, is_flat=bool(best and best.is_flat))
    if best is not None:
        lines += [f"{key} = {_quoted(name)}" for key, name in best.names.items()]
        lines += _listed("or: ", [", ".join(g.names.values()) for g in guesses[1:4]])
    else:
        lines += [f'{axis} = "?"' for axis in "xyz"]
        lines += _listed("one of: ", _numbers(tables.get(tree, {})))
    return "\n".join([*lines, 'unit = "mm"  # or cm, m, um'])


def _guesses(tables: Mapping[str, Mapping[str, str]]) -> Iterator[_Guess]:
    for tree, kinds in tables.items():
        families: dict[str, dict[str, str]] = {}
        for name, kind in kinds.items():
            if "/" in name or not _holds_numbers(kind):
                continue
            for family, axis in _readings(name):
                families.setdefault(family, {}).setdefault(axis, name)
        for family, names in families.items():
            for is_polar, system in enumerate((CARTESIAN, POLAR)):
                if set(system) <= set(names):
                    chosen = {axis: names[axis] for axis in system}
                    flat = [not is_list(kinds[each]) for each in chosen.values()]
                    score = _score(family, tree) - 2 * any(flat) - is_polar
                    if all(flat) or not any(flat):
                        yield _Guess(score, tree, _as_vector(chosen), all(flat))


def _readings(name: str) -> Iterator[tuple[str, str]]:
    """Yield the family of a column and its axis: ``hit_x`` is x of ``hit_*``."""
    segments = [part for part in re.split(r"[^a-z0-9]+", name.casefold()) if part]
    if set(segments) & set(NO_PLACE) or any(
        word in segment for word in NO_PLACE if len(word) > 4 for segment in segments
    ):
        return
    for index, segment in enumerate(segments):
        match = _AXIS.fullmatch(segment)
        if match is not None:
            segments[index] = f"{match['before']}*{match['after']}"
            yield ".".join(segments), AXES[match["axis"]]
            return


def _score(family: str, tree: str) -> int:
    words = re.findall(_WORDS, family) + re.split(r"[^a-z0-9]+", family)
    words += re.split(r"[^a-z0-9]+", tree.casefold())
    has = [bool(set(words) & set(kind)) for kind in (POINT, PLACE, SIMULATED, OTHERS)]
    has[-1] |= "calo" in family
    return sum(n * each for n, each in zip((4, 1, -3, -4), has, strict=True))


def _as_vector(names: dict[str, str]) -> dict[str, str]:
    """Return the vector whose members the columns are, if they are those of one."""
    for members in MEMBERS:
        prefixes = {
            column.removesuffix(f".{member}")
            for column, member in zip(names.values(), members, strict=True)
            if column.endswith(f".{member}")
        }
        if len(prefixes) == 1 and set(names) == set("xyz"):
            return {"position": prefixes.pop()}
    return names


def _event_lines(
    tables: Mapping[str, Mapping[str, str]],
    entries: Mapping[str, int],
    tree: str,
    *,
    is_flat: bool,
) -> list[str]:
    found = _event_columns(tables.get(tree, {}))
    if not found and not is_flat:
        found = [
            f"{other}/{name}"
            for other, kinds in tables.items()
            if other != tree and entries.get(other) == entries.get(tree)
            for name in _event_columns(kinds)
        ]
    if found:
        return [f"event = {_quoted(found[0])}"]
    if is_flat:
        return ['event = "?"', *_listed("one of: ", _integers(tables.get(tree, {})))]
    return ["# no event: events are numbered by their entry"]


def _event_columns(kinds: Mapping[str, str]) -> list[str]:
    return [
        name
        for name in _integers(kinds)
        if _EVENT.fullmatch(re.sub(r"[^a-z]", "", name.casefold()))
    ]


def _integers(kinds: Mapping[str, str]) -> list[str]:
    return [n for n, kind in kinds.items() if "int" in kind and not is_list(kind)]


def _numbers(kinds: Mapping[str, str]) -> list[str]:
    names = [name for name, kind in kinds.items() if _holds_numbers(kind)]
    lists = [name for name in names if is_list(kinds[name])]
    return [name for name in lists or names if "/" not in name]


def _holds_numbers(kind: str) -> bool:
    return re.search(r"float|double", kind) is not None and kind.count("vector<") < 2


def _quoted(name: str) -> str:
    """Return a name as a TOML string, whose escapes are those of JSON."""
    return json.dumps(name)


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """Return the first of the names as comments of at most `WIDTH` columns."""
    lines, line = [], f"# {what}"
    for position, name in enumerate(names[:12]):
        text = name if position == 0 else f", {name}"
        if len(line) + len(text) > WIDTH - 1:
            lines.append(f"{line},")
            line, text = "#   ", name
        line += text
    return [*lines, line] if names else []
