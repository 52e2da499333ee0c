"""A columns file for an unknown file: its columns by the meaning of their names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from producers.io.content import FileContent
from producers.io.root import is_list
from producers.model.schema import CARTESIAN, MEMBERS, POLAR
from producers.model.truth_schema import MOMENTUM, VERTEX

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
    rf"(?P<before>(?:{_WORDS}|h)*)(?P<axis>phi|rho|rt|x|y|z|r)(?P<after>(?:{_WORDS})*)"
)
_EVENT = re.compile(r"i?(event|evt|ev)(number|num|nr|no|n|id|index)?")


PARTICLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "momentum": (
        *(("px", "py", "pz"), ("p_x", "p_y", "p_z"), ("mom_x", "mom_y", "mom_z")),
        *(("momentum.x", "momentum.y", "momentum.z"), ("pt", "eta", "phi")),
    ),
    "vertex": (
        *(("vx", "vy", "vz"), ("v_x", "v_y", "v_z"), ("vtx_x", "vtx_y", "vtx_z")),
        *(("vertex_x", "vertex_y", "vertex_z"), ("prodx", "prody", "prodz")),
        *(("vertex.x", "vertex.y", "vertex.z"), ("prod_x", "prod_y", "prod_z")),
    ),
    "id": tuple(
        (name,)
        for name in ("particle_id", "particleid", "trackid", "id", "barcode", "index")
    ),
    "q": (("q",), ("charge",)),
    "pdg": tuple((name,) for name in ("pdg", "pdgid", "pdg_id", "pdgcode", "pid")),
}
"""Ends of the names of particles' columns, which have the same beginning."""

_OF_POINT = re.compile(r"particle|part|barcode|truth|mc|pid|true|track_?id")
_ID = re.compile(r"id|barcode|index|idx|particle|link")


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
        lines += _listed(
            "or: ",
            [
                ", ".join(other.names.values())
                + (f" of the tree {_quoted(other.tree)}" if other.tree != tree else "")
                for other in guesses[1:4]
            ],
        )
    else:
        lines += [f'{axis} = "?"' for axis in "xyz"]
        lines += _listed("one of: ", _numbers(tables.get(tree, {})))
    return "\n".join([*lines, 'unit = "mm"  # or cm, m, um'])


def truth_file(content: FileContent) -> str:
    """Return the text of a file with the columns of the truth; see `columns_file`."""
    tables = dict(content.root_tables)
    if not tables:
        return ""
    found = [each for tree in tables for each in _particle_columns(tree, tables[tree])]
    best = max(found, key=lambda each: len(each[1]), default=None)
    particles, names = best or ("", {})
    points, point_column = _of_points(tables, particles, names)
    lines = ["[truth]"]
    lines += [f"tree = {_quoted(points)}"] if points else []
    kinds = tables.get(points, {})
    is_flat = bool(kinds) and not is_list(kinds.get(point_column, "[]"))
    lines += _event_lines(tables, content.root_entries, points, is_flat=is_flat)
    lines.append(f"point_particle = {_quoted(point_column or '?')}")
    if not point_column:
        integers = [
            name
            for kinds in tables.values()
            for name in _names(kinds)
            if "int" in kinds[name]
        ]
        lines += _listed("one of: ", integers)
    lines += [f"particles = {_quoted(particles)}"] if particles else []
    lines += [f"{key} = {_quoted(name)}" for key, name in names.items()]
    if not names:
        keys = ("id", "px", "py", "pz", "vx", "vy", "vz", "q")
        lines += [f'{key} = "?"' for key in keys]
    elif "q" not in names and "pdg" not in names:
        lines.append('q = "?"  # the charge; or pdg, from which it follows')
    lines.append('unit = "mm"  # of the vertex; or cm, m, um')
    return "\n".join([*lines, 'momentum_unit = "GeV"  # or MeV'])


def _particle_columns(
    tree: str, kinds: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield columns of particles by key, for each beginning that a momentum has."""
    by_case = {name.casefold(): name for name in _names(kinds)}
    for ends in PARTICLES["momentum"]:
        for name in by_case:
            start = name.removesuffix(ends[0])
            if start == name or not all(f"{start}{end}" in by_case for end in ends):
                continue
            if ends[0] == "p_x" and start[-1:].isalpha():  # sp_x is a position
                continue
            keys = {"momentum": ("pt", "eta", "phi") if ends[0] == "pt" else MOMENTUM}
            keys |= {"vertex": VERTEX}
            chosen: dict[str, str] = {}
            for what in ("id", "momentum", "vertex", "q", "pdg"):
                for each in (ends,) if what == "momentum" else PARTICLES[what]:
                    full = [by_case.get(f"{start}{end}") for end in each]
                    if None not in full:
                        columns = zip(keys.get(what, (what,)), full, strict=True)
                        chosen |= {key: column for key, column in columns if column}
                        break
            yield tree, chosen


def _of_points(
    tables: Mapping[str, Mapping[str, str]], particles: str, names: Mapping[str, str]
) -> tuple[str, str]:
    """Return tree and column of the particle of each space point; empty if none."""
    best, found = 0, ("", "")
    for tree, kinds in tables.items():
        for name in _names(kinds):
            low = name.casefold()
            if "int" not in kinds[name] or name in names.values():
                continue
            if _OF_POINT.search(low) and _ID.search(low):
                words = set(re.findall(_WORDS, low))
                score = 1 + 4 * bool(words & set(POINT)) + 2 * (tree != particles)
                if score > best:
                    best, found = score, (tree, name)
    return found


def _guesses(tables: Mapping[str, Mapping[str, str]]) -> Iterator[_Guess]:
    for tree, kinds in tables.items():
        families: dict[str, dict[str, str]] = {}
        for name in _names(kinds):
            if not _holds_numbers(kinds[name]):
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


def _names(kinds: Mapping[str, str]) -> list[str]:
    """Return the columns without paths of branches, and counters of lists."""
    return [n for n in kinds if "/" not in n and not (n[:1] == "n" and n[1:] in kinds)]


def _integers(kinds: Mapping[str, str]) -> list[str]:
    return [n for n in _names(kinds) if "int" in kinds[n] and not is_list(kinds[n])]


def _numbers(kinds: Mapping[str, str]) -> list[str]:
    names = [name for name in _names(kinds) if _holds_numbers(kinds[name])]
    return [name for name in names if is_list(kinds[name])] or names


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
