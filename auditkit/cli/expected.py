"""What a customer expects of a file, with `verify --expect`: the step after SPEC.md's."""

import re

from auditkit.cli.proven import decimals
from auditkit.cli.verdict import EXPECT
from auditkit.errors import InputError
from auditkit.money import format_amount, parse_amount
from auditkit.verify.check import Verified
from auditkit.verify.errors import Incomplete, Refuted


def expectation(text: str) -> tuple[str, str, str]:
    """Asset, book and balance of what --expect was given. Raises InputError."""
    match = re.fullmatch(r"([^/=]+)/([^/=]+)=([0-9.]+)", text)
    if match is None:
        raise InputError(
            f"--expect: {text!r:.60} is not of the form BTC/margin=1.25 (digits and one point)"
        )
    parse_amount(match[3], 30, "--expect")
    return match[1], match[2], match[3]


def check_expected(proven: Verified, asset: str, book: str, text: str) -> None:
    """Raises Refuted where the balance is another one, Incomplete where it is not shown."""
    for balance in proven.balances:
        if (balance.asset, balance.book) == (asset, book):
            places = decimals(proven, balance.statement)
            if parse_amount(text, places, "--expect") != balance.amount:
                raise Refuted(
                    f"the balance of {asset}/{book} is not the one you expect",
                    expected=f"{text} {asset}",
                    found=f"{format_amount(balance.amount, places)} {asset}",
                    step=EXPECT,
                )
            return
    raise Incomplete(f"the file shows no balance of {asset}/{book}", step=EXPECT)
