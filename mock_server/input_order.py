"""The order in which Triton looks at the inputs of a request.

It keeps them in a ``std::unordered_map``, whose order is neither that of the request
nor that of the names: clients see it in lists of inputs, and in which of several
mistakes they are told of. This is that container of libstdc++, its order alone.
"""

from collections.abc import Iterable

_WORD = 2**64
_MULTIPLIER = 0xC6A4A7935BD1E995
_SEED = 0xC70F6907
_BUCKETS = (13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753, 42043)
"""Primes through which the table grows, from ``__prime_list``."""


def hashed_order(names: Iterable[str]) -> list[str]:
    """These distinct names in the order of an ``unordered_map`` they were put into."""
    order: list[str] = []
    size = 0
    for name in names:
        if len(order) == (_BUCKETS[size - 1] if size else 0):
            size = min(size + 1, len(_BUCKETS))
            order = _inserted([], order, _BUCKETS[size - 1])
        order = _inserted(order, [name], _BUCKETS[size - 1])
    return order


def _inserted(order: list[str], names: list[str], n_buckets: int) -> list[str]:
    """List of nodes after insertion: at the front of its bucket, or of everything."""
    order = list(order)
    for name in names:
        bucket = _hash(name) % n_buckets
        same = (i for i, each in enumerate(order) if _hash(each) % n_buckets == bucket)
        order.insert(next(same, 0), name)
    return order


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
