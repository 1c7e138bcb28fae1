"""SPEC.md §1 and §5: strict, bounded JSON, and one canonical text."""

import pytest
from refusals import refused

from auditkit.verify.errors import Malformed
from auditkit.verify.strictjson import check_canonical, dumps, loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        (' \t\r\n{ "a" : [ 1 , true , false , null , "x" ] } ', {"a": [1, True, False, None, "x"]}),
        ("9007199254740991", 2**53 - 1),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"' + "[" * 50 + '"', "[" * 50),
        ('"\\"' + "[" * 50 + '"', '"' + "[" * 50),
        ('"\\\\"', "\\"),
        ("[" * 8 + "]" * 8, [[[[[[[[]]]]]]]]),
        ("[" * 7 + "[],[],{},{}" + "]" * 7, [[[[[[[[], [], {}, {}]]]]]]]),
        ('{"a":1,"b":{"a":2}}', {"a": 1, "b": {"a": 2}}),
    ],
)
def test_strict_json_is_read(text: str, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1,]", "not JSON"),
        ("{} {}", "not JSON"),
        ("'a'", "not JSON"),
        ('"\t"', "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[" * 9 + "]" * 9, "nested deeper than 8"),
        ('{"a":' * 9 + "1" + "}" * 9, "nested deeper than 8"),
        ("[" + "[]," * 9 + "[" * 8 + "]" * 9, "nested deeper than 8"),
        ("[" + "{}," * 9 + "[" * 8 + "]" * 9, "nested deeper than 8"),
        ("[" * 100_000, "nested deeper than 8"),
        ('{"":' * 100_000, "nested deeper than 8"),
        ('{"a":1,"a":1}', "duplicate key; found a"),
        ('{"b":{"a":1,"c":2,"a":3}}', "duplicate key; found a"),
        ('{"a":1,"\\u0061":2}', "duplicate key; found a"),
        ("1.0", "only integers are numbers here; found 1.0"),
        ("1e3", "only integers are numbers here"),
        ("1e400", "only integers are numbers here"),
        ("-1.5", "only integers are numbers here"),
        ("NaN", "only integers are numbers here"),
        ("Infinity", "only integers are numbers here"),
        ("-Infinity", "only integers are numbers here"),
        ("-1", "not an integer from 0 to 2^53 - 1"),
        ("-0", "not an integer from 0 to 2^53 - 1"),
        ("9007199254740992", "not an integer from 0 to 2^53 - 1"),
        ("1" * 17, "not an integer from 0 to 2^53 - 1"),
        ("1" * 100_000, "not an integer from 0 to 2^53 - 1"),
        ('"\\ud800"', "a lone surrogate"),
        ('{"\\udc00":1}', "a lone surrogate"),
        ('["\\ude00\\ud83d"]', "a lone surrogate"),
    ],
)
def test_everything_else_is_malformed(text: str, fragment: str) -> None:
    with refused(Malformed, fragment):
        loads(text)


def test_canonical_text_is_read_and_written_back() -> None:
    text = '{"a":[1,"x~!"],"b":{"c":true}}'
    check_canonical(text, loads(text))
    assert dumps(loads(text)) == text


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ('{"a": 1}', "does not re-encode to itself"),
        ('{"a":1}\n', "only printable ASCII"),
        (' {"a":1}', "does not re-encode to itself"),
        ('{"b":1,"a":1}', "does not re-encode to itself"),
        ('{"a":"\\u0061"}', "only printable ASCII without backslash"),
        ('{"a":"\\/"}', "only printable ASCII without backslash"),
        ('{"a":"\u00e9"}', "only printable ASCII"),
        ('{"a":"\x7f"}', "only printable ASCII"),
        ('{"a":1,"a":1}', "duplicate key"),
        ("", "not JSON"),
    ],
)
def test_any_other_text_of_a_value_is_malformed(text: str, fragment: str) -> None:
    with refused(Malformed, fragment):
        check_canonical(text, loads(text))
