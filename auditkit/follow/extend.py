"""Whether a signed head extends the one remembered, and the evidence where it does not.

A fork is claimed only with evidence that anybody can check (SPEC.md §4,
"Forks"): two signed heads of one size, or a path from another root at the
earlier size. Where what is served does not even lead to its own signed root,
it is false, and no evidence.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NoReturn

from auditkit.errors import ForkError, InputError
from auditkit.follow.mirror import Mirror, Stage
from auditkit.follow.source import Source, read_note, tree
from auditkit.log.breach import Breach, Breaches
from auditkit.log.tiles import HASH, Tree
from auditkit.verify.errors import Incomplete, NotVerified, Refuted
from auditkit.verify.fork import fork_of, signers
from auditkit.verify.history import EMPTY_ROOT, check_consistency, leaf_hash
from auditkit.verify.note import Checkpoint, VerifierKey

Keys = Sequence[VerifierKey]
GONE = "head-gone"
"""The rule that every head that was signed stays available."""


def check_not_older(head: Checkpoint, seen: Checkpoint, mirror: Mirror, keys: Keys) -> None:
    """Hold a signed head against the one remembered, as far as the follower's own log shows.

    Raises ForkError where they are two histories, Incomplete where the head is
    the smaller one of one history.
    """
    if head.size == seen.size:
        if head.root != seen.root:
            what = f"two heads of {head.size} entries, with different roots"
            raise _fork(what, head, seen, keys)
    elif head.size < seen.size:
        if mirror.tree.prefix_root(head.size) == head.root:
            raise Incomplete(
                "the head that is served is older than the one remembered: a stale copy, or the "
                "newest entries are withheld",
                expected=f"at least {seen.size} entries",
                found=f"{head.size} entries",
            )
        what = f"the head of {seen.size} entries, remembered, does not extend that of {head.size}"
        raise conflict(what, head, seen, mirror.tree, keys)


def check_empty(head: Checkpoint) -> None:
    """Raises Refuted if a log of no entries has a root."""
    if head.size == 0 and head.root != EMPTY_ROOT:
        raise Refuted(
            "a log of no entries has the root of nothing",
            expected=EMPTY_ROOT.hex(),
            found=head.root.hex(),
        )


def explain(
    source: Source,
    head: Checkpoint,
    seen: Checkpoint | None,
    stage: Stage,
    root: bytes,
    keys: Keys,
) -> NoReturn:
    """Why what was fetched has the root `root` and not the head's.

    Raises ForkError where the hash tiles that are served show that the head
    does not extend the one remembered; else Refuted, with the bundle that
    does not fit them, if they show one.
    """
    tiles, why = tree(source, head.size), ""
    try:
        if tiles.root() != head.root:
            why = "the hash tiles that are served do not lead to the signed root either"
        elif seen is not None and seen.size:
            _check_extends(tiles, head, seen, keys)
        if not why:
            _check_bundles(tiles, stage)
    except InputError as error:
        why = str(error)
    does = "extend the head remembered" if seen else "have the signed root"
    raise Refuted(
        f"what is served does not {does}, and no evidence can be made from it"
        + (f" ({why})" if why else ""),
        expected=f"{head.size} entries, root {head.root.hex()}",
        found=f"root {root.hex()}",
    )


def _check_extends(tiles: Tree, head: Checkpoint, seen: Checkpoint, keys: Keys) -> None:
    """Raises ForkError unless the tree of the head begins with the entries of `seen`."""
    if tiles.prefix_root(seen.size) != seen.root:
        what = f"the head of {head.size} entries does not extend that of {seen.size}, remembered"
        raise conflict(what, seen, head, tiles, keys)


def _check_bundles(tiles: Tree, stage: Stage) -> None:
    """Raises Refuted for the first bundle that does not fit its tile of hashes."""
    for number, name, entries in stage.bundles():
        if b"".join(map(leaf_hash, entries)) != tiles.tile(0, number)[: len(entries) * HASH]:
            raise Refuted("the entries are not those of the signed root", where=name)


def conflict(
    what: str, first: Checkpoint, second: Checkpoint, tiles: Tree, keys: Keys
) -> ForkError | Refuted:
    """The fork, with the path in the tiles of the second; or that they do not prove it.

    `first` is the smaller head, or one of the same size. Raises InputError where tiles are missing.
    """
    if first.size == second.size:
        return _fork(what, first, second, keys)
    prefix, path = tiles.prefix_root(first.size), tiles.consistency(first.size)
    try:
        check_consistency(first.size, prefix, second.size, second.root, path)
    except Refuted as error:
        error.what = f"{what}, and no evidence can be made from what is served: {error.what}"
        return error
    return _fork(what, first, second, keys, prefix, path)


def _fork(
    what: str,
    first: Checkpoint,
    second: Checkpoint,
    keys: Keys,
    prefix: bytes | None = None,
    path: tuple[bytes, ...] = (),
) -> ForkError:
    evidence = fork_of(first, second, prefix, path)
    # One key that signed both is all that others need to know.
    for key in keys:
        with suppress(Refuted):
            evidence.check(key)
            return ForkError(what, evidence, key)
    return ForkError(what, evidence, *keys)


def served_heads(source: Source, heads: Iterable[tuple[Checkpoint, Keys]]) -> list[Breach]:
    """Those of the heads that are not served below `checkpoints`, where every head stays.

    Beside each are the keys that sign at its size. Raises ForkError where another head is
    served that one of them signed; what only others signed is none.
    """
    found = Breaches()
    for head, keys in {each.size: (each, keys) for each, keys in heads if each.size}.values():
        path = f"checkpoints/{head.size}"
        try:
            served = read_note(source, path)
            signers(served, tuple(keys))
        except FileNotFoundError:
            what = f"{path} is not served, and every head stays available"
            found.add(GONE, head.size - 1, what, f"root {head.root.hex()}", "no such file")
            continue
        except NotVerified as error:
            what = f"{path} is served, and is no signed head ({error.what})"
            found.add(GONE, head.size - 1, what, f"root {head.root.hex()}", "another file")
            continue
        if served.size != head.size:
            what = f"{path} is a head of another size"
            found.add(GONE, head.size - 1, what, head.size, served.size)
        elif served.root != head.root:
            raise _fork(
                f"two heads of {head.size} entries, with different roots", served, head, keys
            )
    return found.found
