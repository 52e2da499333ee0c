"""Checksums of the metadata of RNTuples, compared before uproot reads them."""

from __future__ import annotations

import uproot

from producers.model.types import Untyped

CHECKSUM_BYTES = 8


def require_checksums(ntuple: Untyped) -> None:
    """Compare the checksums of the header, the footer and the lists of pages.

    uproot compares some of them, but after it has read the metadata: there it trusts
    counts, and a damaged one keeps it busy for ever.

    Parameters
    ----------
    ntuple : uproot.RNTuple

    Raises
    ------
    ValueError
        If a checksum is another.

    Notes
    -----
    Envelopes end with the xxh3 digest of their bytes: RNTuple binary format
    specification, "Envelopes".
    """
    # The two chunks have no public name; without them uproot is trusted.
    for name in ("header", "footer"):
        prepare = getattr(ntuple, f"_prepare_{name}_chunk", None)
        if prepare is None:
            return
        prepare()
        _require_checksum(getattr(ntuple, f"_{name}_chunk"), name)
    for group in ntuple.footer.cluster_group_records:
        link = group.page_list_link
        chunk, _ = ntuple.read_locator(link.locator, link.env_uncomp_size)
        _require_checksum(chunk, "list of pages")


def _require_checksum(chunk: Untyped, what: str) -> None:
    from xxhash import xxh3_64_intdigest  # noqa: PLC0415 - for RNTuples alone

    start = uproot.source.cursor.Cursor(chunk.start)
    content = bytes(chunk.get(chunk.start, chunk.stop, start, {}))
    own = int.from_bytes(content[-CHECKSUM_BYTES:], "little")
    if own != xxh3_64_intdigest(content[:-CHECKSUM_BYTES]):
        raise ValueError(f"the checksum of its {what} is wrong")
