"""A margin book on disk: contracts, positions and wallets as an exchange would export them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exchange import MARKS, Exchange

from auditkit.verify.elements import TIME

Position = tuple[str, str, str, str, str]
"""Account, contract, side, size, entry."""

CONTRACTS = ("BTC-PERP,linear,1,BTC,0.01",)


@dataclass
class MarginFiles:
    """The tables of one crash; wallets are natural amounts of `asset` by account."""

    wallets: Mapping[str, str]
    positions: Sequence[Position]
    contracts: Sequence[str] = CONTRACTS
    marks: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MARKS)
    pledged: Mapping[str, str] = field(default_factory=dict)
    leaves: Mapping[str, int] = field(default_factory=dict)
    asset: str = "BTC"
    more: Sequence[str] = ()
    """Further rows of wallets, of other assets."""

    def write(self, folder: Path) -> Path:
        """Write the tables and their positions.toml."""
        folder.mkdir(parents=True)
        pool = ",pool" if self.contracts[0].count(",") == 5 else ""
        header = f"contract,kind,multiplier,settlement,maintenance_margin{pool}"
        _csv(folder / "contracts.csv", header, self.contracts)
        rows = map(",".join, self.positions)
        _csv(folder / "positions.csv", "account,contract,side,size,entry", rows)
        wallets = [
            f"{account},{self.asset},{amount},{self.pledged.get(account, '0')},"
            f"{self.leaves.get(account, 1)}"
            for account, amount in self.wallets.items()
        ]
        header = "account,asset,balance,pledged,leaves"
        _csv(folder / "wallets.csv", header, [*wallets, *self.more])
        path = folder / "positions.toml"
        parts = ("contracts", "positions", "wallets")
        path.write_text("".join(f'[{part}]\nfiles = ["{part}.csv"]\n' for part in parts))
        return path

    def event(
        self,
        exchange: Exchange,
        event: str = "crash-1",
        pool: str = "BTC",
        says: Mapping[str, object] | None = None,
    ) -> Path:
        """An event.toml over these tables, confirmed a half second before it is logged."""
        positions = self.write(exchange.books / f"{event}-margin")
        return exchange.write(
            event,
            {
                "event": event,
                "pool": pool,
                "confirmed": TIME.write(exchange.now + 500),
                "positions": str(positions.relative_to(exchange.books)),
                "mark": [{"contract": name, "sources": s} for name, s in self.marks.items()],
                **(says or {}),
            },
        )


def _csv(path: Path, header: str, lines: Iterable[str]) -> None:
    path.write_text("\n".join([header, *lines]) + "\n")
