"""The order in which Triton looks at the inputs of a request.

It keeps them in a ``std::unordered_map``, whose order is neither that of the request
nor that of the names: clients see it in lists of inputs, and in which of several
mistakes they are told of. This is that container of libstdc++, its order alone.
"""

from collections.abc import Iterable, Mapping

_WORD = 2**64
_MULTIPLIER = 0xC6A4A7935BD1E995
_SEED = 0xC70F6907
_BUCKETS = (13, 29, 59, 127, 257, 541)
"""Primes through which the table grows, from ``__prime_list``."""


MOST_ORDERED = 500
"""Finding the order takes a time that grows with the square of the number of names."""


def hashed_order(names: Iterable[str]) -> list[str]:
    """These distinct names in the order of an ``unordered_map`` they were put into.

    More than `MOST_ORDERED` stay as they are: no model has so many inputs, and what is
    refused anyway must not keep the server busy.
    """
    given = list(names)
    if len(given) > MOST_ORDERED:
        return given
    hashes = {name: _hash(name) for name in given}
    order: list[str] = []
    size = 0
    for name in given:
        if len(order) == (_BUCKETS[size - 1] if size else 0):
            size += 1
            former, order = order, []
            for each in former:
                _insert(order, each, hashes, _BUCKETS[size - 1])
        _insert(order, name, hashes, _BUCKETS[size - 1])
    return order


def _insert(
    order: list[str], name: str, hashes: Mapping[str, int], n_buckets: int
) -> None:
    """Put a name in front of its bucket, or, as its first, of everything."""
    bucket = hashes[name] % n_buckets
    same = (i for i, each in enumerate(order) if hashes[each] % n_buckets == bucket)
    order.insert(next(same, 0), name)


def _hash(name: str) -> int:
    """``std::hash<std::string>``: MurmurHash64A with libstdc++'s seed."""
    data = name.encode()
    value = _SEED ^ (len(data) * _MULTIPLIER % _WORD)
    n_whole = len(data) // 8 * 8
    for start in range(0, n_whole, 8):
        word = int.from_bytes(data[start : start + 8], "little")
        word = _mixed(word * _MULTIPLIER % _WORD) * _MULTIPLIER % _WORD
        value = (value ^ word) * _MULTIPLIER % _WORD
    if len(data) > n_whole:
        word = int.from_bytes(data[n_whole:], "little")
        value = (value ^ word) * _MULTIPLIER % _WORD
    return _mixed(_mixed(value) * _MULTIPLIER % _WORD)


def _mixed(value: int) -> int:
    return value ^ (value >> 47)
