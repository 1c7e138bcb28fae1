"""SPEC.md §4, Witnesses: policy files, and whether enough of their witnesses cosigned."""

import itertools
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import Signer, Witness, b64, signed
from refusals import refused

from auditkit.verify.errors import Incomplete, Malformed, Refuted, Unsupported
from auditkit.verify.note import Checkpoint, VerifierKey
from auditkit.verify.quorum import MAX_BYTES, MAX_LINES, Quorum

VENUE = "exchange.example/audit"
LOG, RETIRED = Signer(VENUE, "quorum log"), Signer(VENUE, "quorum log, retired")
OTHER = Signer("other.example/audit", "quorum log, other")
X1, X2, X3, Y1, Y2 = WITNESSES = tuple(
    Witness(f"{name}.example", f"quorum {name}") for name in ("x1", "x2", "x3", "y1", "y2")
)
NAMES = ("X1", "X2", "X3", "Y1", "Y2")
TEXT = f"{VENUE}\n7\n{b64(sha256(b'root').digest())}\n"
NOON = 1_760_097_600
KEYS = "".join(f"witness {n} {w.vkey}\n" for n, w in zip(NAMES, WITNESSES, strict=True))
TWO_LEVELS = (
    f"log {LOG.vkey}\n{KEYS}group X 2 X1 X2 X3\ngroup Y any Y1 Y2\ngroup X-and-Y all X Y\n"
    "quorum X-and-Y\n"
)


def policy(text: str) -> Quorum:
    return Quorum.parse(text.encode())


def checkpoint(*witnesses: Witness, log: Signer = LOG) -> Checkpoint:
    """The log's checkpoint, with lines a second apart."""
    lines = "".join(w.cosign(TEXT, NOON + i) for i, w in enumerate(witnesses))
    return Checkpoint.parse(signed(TEXT, log) + lines)


# Reading.


def test_a_policy_is_read() -> None:
    read = policy(TWO_LEVELS)
    assert read.logs == (VerifierKey.parse(LOG.vkey),)
    assert [(w.name, str(w.key), w.url) for w in read.witnesses] == [
        (name, witness.vkey, "") for name, witness in zip(NAMES, WITNESSES, strict=True)
    ]
    assert [(g.name, g.least, g.members) for g in read.groups] == [
        ("X", 2, ("X1", "X2", "X3")),
        ("Y", 1, ("Y1", "Y2")),
        ("X-and-Y", 2, ("X", "Y")),
    ]
    assert read.quorum == "X-and-Y"


def test_blanks_comments_and_order_mean_nothing() -> None:
    text = (
        "# ours\n\n \t \n\t#a\n"
        f" witness\tX1 \t{X1.vkey}   https://x1.example/ \n"
        f"quorum X1\nlog {OTHER.vkey} https://other.example/log\n\tlog {LOG.vkey}\t\n"
    )
    read = policy(text)
    assert [key.name for key in read.logs] == [OTHER.name, VENUE]
    assert (read.witnesses[0].url, read.quorum) == ("https://x1.example/", "X1")


def test_names_are_bytes_that_mean_nothing() -> None:
    kelvin = b"\xe2\x84\xaa"
    names = (b"any", b"2", b"witness", b"K", kelvin, b"\xff\x80", b"A+B")
    keys = [Witness("w.example", f"quorum name {i}") for i in range(len(names))]
    lines = [b"witness %b %b\n" % (n, k.vkey.encode()) for n, k in zip(names, keys, strict=True)]
    text = b"".join(lines) + b"group all all " + b" ".join(names) + b"\nquorum all\n"
    read = Quorum.parse(text)
    assert [w.name.encode("utf-8", "surrogateescape") for w in read.witnesses] == list(names)
    times = read.check(
        Checkpoint.parse(signed(TEXT, LOG) + "".join(k.cosign(TEXT, 5) for k in keys))
    )
    assert len(times.times) == len(names)


def test_a_witness_may_have_any_name_that_a_note_allows() -> None:
    named = Witness("zürich.example/Zeuge~1", "quorum name")
    read = policy(f"witness Zürich {named.vkey} https://zürich.example\nquorum Zürich\n")
    assert read.check(checkpoint(named)).times == {"Zürich": NOON}


def test_a_policy_may_want_no_witness() -> None:
    assert policy("quorum none\n").check(checkpoint()).times == {}
    read = policy(f"{KEYS}quorum none\n")
    assert read.check(checkpoint(X2)).times == {"X2": NOON}
    assert read.wanted() == "none"


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "a policy has a quorum line"),
        (KEYS, "a policy has a quorum line"),
        ("quorum none", "does not end in a line feed"),
        (f"{KEYS}quorum X1", "does not end in a line feed"),
        ("quorum none\n\x00", "no control characters"),
        ("quorum none\r\n", "no control characters"),
        ("quorum\x0bnone\n", "no control characters"),
        ("quorum none\n# \x7f\n", "no control characters"),
        ("quorum none\nquorum none\n", "one quorum line"),
        (f"{KEYS}quorum X1\nquorum X2\n", "one quorum line"),
        ("quorum\n", "not a line of a policy"),
        ("quorum none none\n", "not a line of a policy"),
        ("quorum X1\n", "no witness or group of that name"),
        (f"quorum X1\n{KEYS}", "no witness or group of that name"),
        ("Quorum none\n", "not a line of a policy"),
        ("threshold 2\nquorum none\n", "not a line of a policy"),
        ("quorum\u00a0none\n", "not a line of a policy"),
        ("log\nquorum none\n", "not a line of a policy"),
        (f"log {LOG.vkey} https://a b\nquorum none\n", "not a line of a policy"),
        (f"log {LOG.vkey}x\nquorum none\n", "not canonical base64"),
        ("log a+b\nquorum none\n", "not canonical base64"),
        (f"log {LOG.vkey.replace('+', '+0', 1)}\nquorum none\n", "the key id is another key's"),
        (f"log {X1.vkey}\nquorum none\n", "expected type 0x01"),
        (f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n", "two logs have one public key"),
        (
            f"log {LOG.vkey}\nlog {Signer('b.example', 'quorum log').vkey}\nquorum none\n",
            "two logs have one public key",
        ),
        (f"witness {X1.vkey}\nquorum none\n", "not a line of a policy"),
        (f"witness X1 {LOG.vkey}\nquorum none\n", "expected type 0x04"),
        (f"{KEYS}witness Z {X1.vkey}\nquorum none\n", "two witnesses have one public key"),
        (
            f"{KEYS}witness Z {Witness('z.example', 'quorum x1').vkey}\nquorum none\n",
            "two witnesses have one public key",
        ),
        (f"witness none {X1.vkey}\nquorum none\n", "a name is defined once"),
        (
            f"{KEYS}witness X1 {Witness('z.example', 'z').vkey}\nquorum X1\n",
            "a name is defined once",
        ),
        (f"{KEYS}group X1 any X2\nquorum X1\n", "a name is defined once"),
        (f"{KEYS}group none any X2\nquorum none\n", "a name is defined once"),
        (f"{KEYS}group A any X1\ngroup A any X2\nquorum A\n", "a name is defined once"),
        (f"{KEYS}group A\nquorum X1\n", "not a line of a policy"),
        (f"{KEYS}group A any\nquorum X1\n", "not a line of a policy"),
        (f"{KEYS}group A any none\nquorum X1\n", "no witness or group of that name"),
        (f"{KEYS}group A any A\nquorum A\n", "no witness or group of that name"),
        (f"{KEYS}group A any B\ngroup B any X1\nquorum A\n", "no witness or group of that name"),
        (f"{KEYS}group A 1 X1 X1\nquorum A\n", "a member once, of one group"),
        (f"{KEYS}group A any X1\ngroup B any X1\nquorum A\n", "a member once, of one group"),
        (f"{KEYS}group A any X1\ngroup B any A\ngroup C any A\nquorum A\n", "a member once"),
        *(
            (f"{KEYS}group A {count} X1 X2\nquorum A\n", "how many members")
            for count in ("0", "3", "-1", "+1", "01", "1.0", "two", "ANY", "٢", "1_0", "9" * 20)
        ),
        (f"group A any X1\n{KEYS}quorum A\n", "no witness or group of that name"),
    ],
)
def test_every_other_policy_is_malformed(text: str, fragment: str) -> None:
    with refused(Malformed, fragment):
        policy(text)


def test_a_refusal_names_the_line() -> None:
    with refused(Malformed, "line 3: not a line of a policy"):
        policy("# one\n\nnonsense\n")


def test_a_key_of_a_newer_type_is_unsupported() -> None:
    """Such as ML-DSA-44, whose public key has 1,312 bytes."""
    vkey = "w.example+01234567+" + b64(b"\x06" + bytes(1312))
    for line in (f"log {vkey}", f"witness W {vkey}"):
        with refused(Unsupported, "a type that this reader does not know"):
            policy(f"{line}\nquorum none\n")


def test_a_policy_has_limits() -> None:
    assert (MAX_BYTES, MAX_LINES) == (1_048_576, 1000)
    long = "#" * (MAX_BYTES - len("quorum none\n\n"))
    policy(f"{long}\nquorum none\n")
    with refused(Malformed, f"at most {MAX_BYTES} bytes"):
        policy(f"{long}#\nquorum none\n")
    groups = "".join(f"group g{i + 1} any g{i}\n" for i in range(MAX_LINES - 2))
    first = f"log {LOG.vkey}\nwitness g0 {X1.vkey}\n"
    read = policy(f"{first}{groups}quorum g{MAX_LINES - 2}\n")
    assert read.check(checkpoint(X1)).times == {"g0": NOON}
    with refused(Malformed, f"at most {MAX_LINES} logs, witnesses and groups"):
        policy(f"{first}{groups}witness W {X2.vkey}\nquorum none\n")


# Checking.


def test_who_cosigned_and_when_comes_in_the_order_of_the_policy() -> None:
    found = policy(TWO_LEVELS).check(given_one := checkpoint(Y2, X3, X1))
    assert list(found.times.items()) == [("X1", NOON + 2), ("X3", NOON + 1), ("Y2", NOON)]
    assert found.checkpoint is given_one


def naive(names: frozenset[str]) -> bool:
    return len(names & {"X1", "X2", "X3"}) >= 2 and bool(names & {"Y1", "Y2"})


@pytest.mark.parametrize("count", range(6))
def test_the_quorum_is_reached_exactly_where_the_rule_says(count: int) -> None:
    read = policy(TWO_LEVELS)
    for names in itertools.combinations(NAMES, count):
        assert read.reached(names) == naive(frozenset(names)), names


@pytest.mark.parametrize(
    "witnesses", [(), (X1,), (X1, X2), (Y1, Y2), (X1, Y1), (X1, X2, X3), (X3, Y1, Y2)]
)
def test_too_few_witnesses_are_incomplete(witnesses: tuple[Witness, ...]) -> None:
    with refused(Incomplete, "too few witnesses of the policy cosigned the checkpoint"):
        policy(TWO_LEVELS).check(checkpoint(*witnesses))


def test_a_refusal_says_who_was_wanted_and_who_was_there() -> None:
    with refused(Incomplete, "expected 2 of X1, X2, X3; found X2"):
        policy(f"{KEYS}group X 2 X1 X2 X3\nquorum X\n").check(
            checkpoint(X2, Witness("q.example", "q"))
        )
    with refused(Incomplete, "expected Y1; found no cosignature by a witness of the policy"):
        policy(f"{KEYS}quorum Y1\n").check(checkpoint())


def test_a_failing_line_of_a_witness_is_false_even_where_the_others_are_enough() -> None:
    broken = X3.cosign(TEXT.replace("7", "8", 1), NOON)
    lines = signed(TEXT, LOG) + X1.cosign(TEXT, 1) + X2.cosign(TEXT, 2) + Y1.cosign(TEXT, 3)
    with refused(Refuted, "the signature is not this key's; expected by x3.example"):
        policy(TWO_LEVELS).check(Checkpoint.parse(lines + broken))
    with refused(Refuted, "expected by x3.example"):
        policy(TWO_LEVELS).check(Checkpoint.parse(signed(TEXT, LOG) + broken))


def test_lines_of_others_are_ignored_even_broken_ones() -> None:
    stranger = Witness("stranger.example", "quorum stranger")
    broken = stranger.cosign(TEXT.replace("7", "8", 1), NOON)
    read = policy(f"{KEYS}quorum X1\n")
    with refused(Incomplete, "too few witnesses"):
        read.check(Checkpoint.parse(signed(TEXT, LOG) + broken))
    lines = signed(TEXT, LOG) + broken + X1.cosign(TEXT, NOON)
    assert read.check(Checkpoint.parse(lines)).times == {"X1": NOON}


def test_one_key_under_two_names_counts_once() -> None:
    """A policy cannot list it twice, so a second line by it is a stranger's."""
    again = Witness("again.example", "quorum x1")
    with refused(Incomplete, "found X1"):
        policy(f"{KEYS}group X 2 X1 X2\nquorum X\n").check(checkpoint(X1, again))


# The logs of a policy.


def test_a_log_that_is_not_listed_is_false() -> None:
    only_other = f"log {OTHER.vkey}\n{KEYS}quorum X1\n"
    with refused(Refuted, f"of another venue; expected {OTHER.name}; found {VENUE}"):
        policy(only_other).check(checkpoint(X1))
    with refused(Refuted, f"expected {VENUE} {LOG.id.hex()}; found {VENUE} {RETIRED.id.hex()}"):
        policy(f"log {LOG.vkey}\nquorum none\n").check(checkpoint(log=RETIRED))


def test_any_listed_key_of_the_origin_is_enough() -> None:
    both = f"log {OTHER.vkey}\nlog {LOG.vkey}\nlog {RETIRED.vkey}\nquorum none\n"
    for log in (LOG, RETIRED):
        assert policy(both).check(checkpoint(log=log)).times == {}


def test_a_key_of_another_origin_does_not_sign_for_this_one() -> None:
    for logs in (f"log {OTHER.vkey}\n", f"log {OTHER.vkey}\nlog {LOG.vkey}\n"):
        with pytest.raises(Refuted):
            policy(f"{logs}quorum none\n").check(Checkpoint.parse(signed(TEXT, OTHER)))


def test_a_failing_line_of_a_listed_log_is_false_beside_a_good_one() -> None:
    lines = Checkpoint.parse(signed(TEXT, LOG) + RETIRED.line(TEXT + "x"))
    policy(f"log {LOG.vkey}\nquorum none\n").check(lines)
    for listed in ([LOG, RETIRED], [RETIRED, LOG], [RETIRED]):
        logs = "".join(f"log {signer.vkey}\n" for signer in listed)
        with refused(Refuted, "the signature is not this key's"):
            policy(f"{logs}quorum none\n").check(lines)


# Whatever the file.


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, list[tuple[str, int, list[str]]], str]:
    """A policy's text, its groups, and its quorum: a forest over some witnesses."""
    free = list(draw(st.permutations(NAMES))[: draw(st.integers(1, 5))])
    lines = [f"witness {n} {w.vkey}" for n, w in zip(NAMES, WITNESSES, strict=True) if n in free]
    groups, names = [], ["none", *free]
    for number in range(draw(st.integers(0, 4))):
        if not free:
            break
        members = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        free = [name for name in free if name not in members]
        least = draw(st.integers(1, len(members)))
        words = [str(least)] + ["any"] * (least == 1) + ["all"] * (least == len(members))
        name = f"g{number}"
        lines.append(f"group {name} {draw(st.sampled_from(words))} {' '.join(members)}")
        groups.append((name, least, members))
        free.append(name)
        names.append(name)
    quorum = draw(st.sampled_from(names))
    return "\n".join([*lines, f"quorum {quorum}"]) + "\n", groups, quorum


@given(policies(), st.sets(st.sampled_from(NAMES)))
def test_a_quorum_is_what_its_definition_unfolds_to(
    drawn: tuple[str, list[tuple[str, int, list[str]]], str], names: set[str]
) -> None:
    text, groups, quorum = drawn
    known = {name: (least, members) for name, least, members in groups}

    def witnessed(name: str) -> bool:
        if name in known:
            least, members = known[name]
            return sum(map(witnessed, members)) >= least
        return name == "none" or name in names

    assert policy(text).reached(names) == witnessed(quorum)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for text in (data, TWO_LEVELS.encode() + data, data + TWO_LEVELS.encode()):
        with suppress(Malformed, Unsupported):
            Quorum.parse(text)


@given(st.integers(0, len(TWO_LEVELS) - 1), st.integers(0, 255))
def test_a_policy_with_a_byte_changed_is_read_or_refused(at: int, byte: int) -> None:
    data = bytearray(TWO_LEVELS.encode())
    data[at] = byte
    with suppress(Malformed, Unsupported):
        Quorum.parse(bytes(data))
