"""A published folder is read whole, or refused with the name of what is wrong with it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import reference
from reference import Signer
from refusals import crash, market, refused
from venue import Venue

from auditkit.errors import InputError
from auditkit.log.bundles import bundle_path
from auditkit.log.published import Log, log_root
from auditkit.verify.errors import Malformed, Refuted, Unsupported
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.statements import AssetStatement, Deficit, Fund, Policy, Run

Write = Callable[[Sequence[bytes], str], Path]
SIGNER = Signer("exchange.example/audit", "published")
KEY = VerifierKey.parse(SIGNER.vkey)


def entries(size: int) -> list[bytes]:
    """Entries that are no statements; nobody asks for what they say."""
    return [b"entry %d" % seq for seq in range(size)]


def note(covered: Sequence[bytes], *signers: Signer) -> str:
    return reference.checkpoint(SIGNER.name, covered, *(signers or [SIGNER]))


def told() -> Venue:
    """The usual crash, published."""
    venue = market()
    crash(venue)
    venue.publish()
    return venue


def log_of(venue: Venue) -> Log:
    checkpoint = Checkpoint.parse(venue.checkpoint(len(venue.entries)))
    return Log(VerifierKey.parse(venue.vkey), checkpoint, venue.entries)


# What is read.


def test_every_statement_of_a_published_log_is_read(published: Write) -> None:
    venue = told()
    public = published(venue.entries, venue.checkpoint(len(venue.entries)))
    log = Log.read(public, VerifierKey.parse(venue.vkey))
    assert log.entries == venue.entries
    assert [statement.encode().encode() for statement in log] == venue.entries
    assert len(log) == log.checkpoint.size == 10
    assert log[0].kind == "policy"
    assert log.reader.index(9).latest == {"BTC": 8}
    assert log.key == VerifierKey.parse(venue.vkey)


def test_statements_are_found_by_their_kind() -> None:
    log = log_of(told())
    assert [fund.seq for fund in log.of(Fund)] == [2, 5]
    assert [policy.seq for policy in log.of(Policy)] == [0]
    assert [link.seq for link in log.of(AssetStatement)] == [1, 3, 4, 6, 7, 8]
    assert [link.kind for link in log.of(Run)] == ["deficit", "adl", "draw", "loss", "applied"]
    assert log.of(Deficit)[0] is log[3]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 255, 256, 257, 300, 511, 512, 513, 700])
def test_any_number_of_entries_is_read(published: Write, size: int) -> None:
    public = published(entries(size), note(entries(size)))
    assert Log.read(public, KEY).entries == entries(size)


@pytest.mark.parametrize("size", range(34))
def test_the_root_is_that_of_the_recursive_definition(size: int) -> None:
    assert log_root(entries(size)) == reference.log_root(entries(size))


def test_entries_of_any_length_are_read(published: Write) -> None:
    odd = [b"", b"\0", b"x" * 255, b"y" * 256, "é".encode(), b"z" * 65_535]
    assert Log.read(published(odd, note(odd)), KEY).entries == odd


@pytest.mark.parametrize(
    ("number", "path"),
    [
        (0, "tile/entries/000"),
        (999, "tile/entries/999"),
        (1000, "tile/entries/x001/000"),
        (1234, "tile/entries/x001/234"),
        (123456, "tile/entries/x123/456"),
        (1234067, "tile/entries/x001/x234/067"),
    ],
)
def test_paths_of_bundles_are_those_of_the_standard(number: int, path: str) -> None:
    assert bundle_path(number) == path


def test_bundles_past_the_thousandth_are_read(published: Write) -> None:
    many = [b"%d" % seq for seq in range(256_300)]
    public = published(many, note(many))
    assert (public / "tile/entries/x001/001.p/44").is_file()
    assert Log.read(public, KEY).entries == many
    (public / "tile/entries/x001/000").unlink()
    with pytest.raises(InputError, match=f"{public}/tile/entries/x001/000: no such file"):
        Log.read(public, KEY)


@pytest.mark.parametrize("size", [1, 200, 256, 300])
@pytest.mark.parametrize("more", [0, 1, 30, 100, 500])
def test_a_fuller_bundle_serves_a_smaller_checkpoint(
    published: Write, size: int, more: int
) -> None:
    """Who fetched the folder while it grew may hold bundles that the checkpoint does not fill."""
    public = published(entries(size + more), note(entries(size)))
    assert Log.read(public, KEY).entries == entries(size)


def test_a_bundle_too_short_for_the_checkpoint_is_passed_over(published: Write) -> None:
    for size in (3, 7, 20):
        public = published(entries(size), note(entries(7)))
    (public / "tile/entries/000.p/notes.txt").write_text("not a bundle")
    (public / "tile/entries/000.p/007").write_text("neither")
    for name in ("7", "20"):
        assert Log.read(public, KEY).entries == entries(7)
        (public / "tile/entries/000.p" / name).unlink()
    with pytest.raises(InputError, match=r"tile/entries/000\.p/7: no such file"):
        Log.read(public, KEY)


# What is refused.


@pytest.fixture
def public(published: Write) -> Path:
    """A folder of two bundles, 256 and 44 entries."""
    return published(entries(300), note(entries(300)))


def test_another_key_and_another_venue_are_refused(public: Path) -> None:
    other = VerifierKey.parse(Signer(SIGNER.name, "another").vkey)
    with refused(Refuted, f"{public}/checkpoint: no signature line by the pinned key; expected"):
        Log.read(public, other)
    elsewhere = VerifierKey.parse(Signer("elsewhere.example", "another").vkey)
    with refused(Refuted, "checkpoint: the checkpoint is of another venue; expected elsewhere"):
        Log.read(public, elsewhere)


def test_a_forged_signature_is_refused_before_anything_else_is_read(published: Write) -> None:
    genuine, other = note(entries(3)), note(entries(4))
    forged = other[: other.index("—")] + genuine[genuine.index("—") :]
    public = published([], forged)
    with refused(Refuted, f"{public}/checkpoint: the signature is not this key's"):
        Log.read(public, KEY)


@pytest.mark.parametrize(
    ("data", "fragment"),
    [
        (b"", "a note is lines"),
        (b"\xff\xfe", "a checkpoint is UTF-8"),
        (note(entries(3)).encode().replace(b"\n", b"\r\n"), "without control characters"),
        (note(entries(3)).encode()[:-1], "each ended by LF"),
    ],
)
def test_what_is_no_checkpoint_is_malformed(public: Path, data: bytes, fragment: str) -> None:
    (public / "checkpoint").write_bytes(data)
    with refused(Malformed, fragment):
        Log.read(public, KEY)
    with refused(Malformed, f"{public}/checkpoint: "):
        Log.read(public, KEY)


@pytest.mark.parametrize("bundle", ["000", "001.p/44"])
def test_one_flipped_byte_is_another_log(public: Path, bundle: str) -> None:
    path = public / "tile/entries" / bundle
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with refused(
        Refuted,
        f"{public}: the entries are not those of the signed checkpoint; expected 300 entries, "
        f"root {log_root(entries(300)).hex()}",
    ):
        Log.read(public, KEY)


def test_a_log_is_made_of_nothing_that_is_not_signed() -> None:
    stranger = Checkpoint.parse(note(entries(5), Signer(SIGNER.name, "another")))
    with refused(Refuted, "no signature line by the pinned key"):
        Log(KEY, stranger, entries(5))


def test_entries_in_another_order_are_another_log() -> None:
    swapped = [*entries(5)[1:], entries(5)[0]]
    with refused(Refuted, "the entries are not those of the signed checkpoint"):
        Log(KEY, Checkpoint.parse(note(entries(5))), swapped)
    with refused(Refuted, "expected 5 entries, root"):
        Log(KEY, Checkpoint.parse(note(entries(5))), entries(4))


@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/entries/001.p/44"])
def test_a_missing_file_is_named(public: Path, name: str) -> None:
    path = public / name
    path.unlink()
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            Log.read(public, KEY)
        assert str(caught.value).startswith(f"{path}: no such file; give the whole published")
        path.mkdir(exist_ok=True)  # Nor is a folder the file.


def test_a_file_where_partial_bundles_should_lie_is_no_bundle(public: Path) -> None:
    folder = public / "tile/entries/001.p"
    (folder / "44").unlink()
    folder.rmdir()
    folder.write_text("not a folder")
    with pytest.raises(InputError, match=r"001\.p/44: no such file"):
        Log.read(public, KEY)


@pytest.mark.parametrize("bundle", ["000", "001.p/44"])
def test_a_bundle_cut_short_or_with_more_behind_it_is_named(public: Path, bundle: str) -> None:
    path = public / "tile/entries" / bundle
    data = path.read_bytes()
    width = 256 if bundle == "000" else 44
    for broken, said in (
        (data[:-1], "an entry is cut short"),
        (data[:-10], "an entry is cut short"),
        (data[:1], "an entry is cut short"),
        (b"", f"has 0 entries where {width} belong"),
        (data + b"\0", "an entry is cut short"),
        (data + b"\0\0", f"has {width + 1} entries where {width} belong"),
        (b"\xff" + data, "an entry is cut short"),
    ):
        path.write_bytes(broken)
        with pytest.raises(InputError) as caught:
            Log.read(public, KEY)
        assert str(caught.value).startswith(f"{path}: {said}")


def test_a_file_larger_than_any_honest_one_is_not_read_whole(public: Path) -> None:
    for name, most in (("checkpoint", 1 << 20), ("tile/entries/000", 256 * 65_537)):
        path = public / name
        kept = path.read_bytes()
        with path.open("wb") as file:
            file.truncate(most + 1)
        with pytest.raises(InputError, match=f"{path}: has more than the {most} bytes"):
            Log.read(public, KEY)
        path.write_bytes(kept)


def test_a_size_without_end_ends_at_the_first_missing_bundle(published: Write) -> None:
    text = Checkpoint.body(SIGNER.name, 2**62, bytes(32))
    public = published(entries(256), reference.signed(text, SIGNER))
    with pytest.raises(InputError, match="tile/entries/001: no such file"):
        Log.read(public, KEY)


# What a statement says of itself.


@pytest.mark.parametrize(
    ("edits", "fragment"),
    [
        ({"seq": 3}, "expected 2 of exchange.example/audit; found 3 of exchange.example/audit"),
        ({"venue": "elsewhere.example"}, "found 2 of elsewhere.example"),
    ],
)
def test_a_statement_that_says_another_place_is_refuted(
    edits: dict[str, object], fragment: str
) -> None:
    venue = told()
    venue.restate(2, **edits)
    log = log_of(venue)
    for _ in range(2):
        with refused(Refuted, "entry 2: the statement says another seq or venue than its place"):
            log[2]
        with refused(Refuted, fragment):
            log.of(Fund)
    assert log[3].seq == 3


@pytest.mark.parametrize(
    ("entry", "family"),
    [
        (b"", Malformed),
        (b"{}", Malformed),
        ('{"é":1}'.encode(), Malformed),
        (b"\xff", Malformed),
        (b'{"format":"auditkit/fund/2"}', Unsupported),
    ],
)
def test_an_entry_that_is_no_statement_is_so_when_it_is_asked_for(
    entry: bytes, family: type[Malformed] | type[Unsupported]
) -> None:
    venue = told()
    venue.entries[2] = entry
    log = log_of(venue)
    assert [fund.seq for fund in log.of(Fund)] == [5]
    with refused(family, "entry 2"):
        log[2]


@pytest.mark.parametrize("seq", [-1, 10, 2**53])
def test_a_seq_that_the_log_does_not_reach_is_refuted(seq: int) -> None:
    log = log_of(told())
    with refused(Refuted, f"the log has no such entry; expected seq below 10; found {seq}"):
        log[seq]


@pytest.mark.parametrize("previous", [7, 9, 2**52])
def test_a_chain_that_turns_upwards_ends(previous: int) -> None:
    venue = told()
    venue.restate(4, previous=previous)
    with refused(Refuted, f"found a adl of BTC at 4 that names {previous}"):
        list(log_of(venue).reader.back(8))


def test_a_chain_that_turns_to_another_asset_ends() -> None:
    venue = market()
    venue.snapshot("USDT", {"margin": {"alice": 5}})
    venue.snapshot("BTC")
    venue.restate(4, previous=3)
    venue.publish()
    with refused(Refuted, "the chain of BTC does not lead down to its first statement; expected"):
        list(log_of(venue).reader.back(4))
    assert [link.seq for link in log_of(venue).reader.back(3)] == [3]
