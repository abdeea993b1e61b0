"""The second reading of a saved results folder: every number derived again, from the files alone.

`verify(folder)` reads what a run left behind, computes what each file must say if the others are
true, and reports every place where it says something else. Its rooms, from the bytes upwards:

findings.py      what is wrong, and how it is told
columns.py       a table in pieces, its columns as whole numbers
json_stream.py   a JSON text, piece by piece
read.py          one file: its size, its JSON, its lines
tables.py        which column holds what
transactions.py  many trades as the chain holds them
layout.py        what our chain looks like where its trades are known
blocks.py        blockchain.json and blocks.csv
fields.py        one JSON object, asked for what it has to hold
params.py        the settings to which laws refer
folder.py        the folder: its files, their columns, its members
energy.py        meters, batteries, trades
chain.py         hashes, work, stake, and every trade once
money.py         transfers
accounts.py      what transfers make of each account
day.py           what settings let sun, homes and market price do in each hour
scenario.py      what settings promise beside: prices outside, levers, caps
orders.py        what members must ask for, and who goes to the local market
batteries.py     how large and strong batteries are, and what they do for their homes
outlook.py       what is to be expected of prices and energy, and so what a stored kWh is worth
battery_use.py   what batteries did and asked for, to the Wh
drawn.py         what chaos draws: one share for all batteries of a step
prices.py        the price that each rule makes between neighbours
reduction.py     what huang's auction makes of the orders
quotes.py        a limit price, seen as what its owner keeps of the price gap
limits.py        what members may bid and ask, and what all quotes of a step have in common
market_rule.py   whom the rule serves first, and how much of it
bans.py          how bans last, and the avoidable penalties that they follow from
homes.py         who takes part, and what each owns
steps.py         the clock, the log, and figures of single steps
alone.py         the bills without a community
told.py          how a figure of a JSON file is compared
totals.py        sums over members, steps, the run
extras.py        what our own runs tell beyond the contract
proof.py         one trade, shown without the rest of the chain

Words: what a file says is `told` or found, what it would have to say is `due`; where they differ, that is a finding.

What no file tells, as the share that chaos drew or the mood of a member, has bounds instead. Each row in which it
shows leaves it a range: a battery with 1,000 Wh above its reserve that offers 420 Wh was told a share from 0.420 up
to 0.421, since only whole Wh are offered. One value must lie in the ranges of all rows that share it; where the
largest `least` is above the smallest `most`, some row is wrong. So batteries.py, drawn.py, outlook.py, quotes.py and
limits.py reckon with pairs (least, most), for T steps, N members, K orders, R chosen rows or H hours.

The contract is the list of files and columns that any program may write (folder.py names them). A run
of this program promises more columns and follows its settings; that it is `ours` shows in its settings
and columns (params.py). Members of the kind storage belong to the contract alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from verification.accounts import cash_to_outside, check_accounts, check_actions
from verification.bans import check_bans
from verification.chain import check_chain, is_raced_anyway
from verification.day import check_day
from verification.energy import check_energy
from verification.extras import check_extras
from verification.findings import Finding, Findings, Progress, show, silent
from verification.folder import Saved, read_folder
from verification.homes import check_homes
from verification.market_rule import check_market_rule
from verification.money import check_money
from verification.orders import check_what_is_asked
from verification.read import no_cycle_search
from verification.scenario import check_scenario
from verification.steps import Texts, check_steps, read_texts
from verification.told import check_promised
from verification.totals import check_totals


@dataclass(frozen=True)
class Report:
    """What verification found."""

    findings: list[Finding]  # the first thousand of each rule
    totals: dict[str, int]  # the number of findings of each rule
    counts: dict[str, int]  # members, steps, trades, blocks
    tip: str | None  # hash of the last block, None without ledger
    raced: bool  # whether each winner was shown to be the first, where miners raced
    ours: bool  # whether a run of this program wrote the folder, which promises more then

    @property
    def ok(self) -> bool:
        return not self.totals

    def summary(self) -> str:
        """What was read, and how many findings there are of each rule."""
        read = ", ".join(many(count, name) for name, count in self.counts.items())
        read += ", written by another program" * (not self.ours)
        found = ", ".join(f"{count:,} x {rule}" for rule, count in self.totals.items())
        whole = many(sum(self.totals.values()), "findings")
        well = "all right" if self.raced else "all right, the race not run again (--race)"
        return f"{read}; " + (f"{whole}: {found}" if found else well)


def many(number: int, things: str) -> str:
    """'2 blocks', '1 block'."""
    return f"{number:,} {things[:-1] if number == 1 else things}"


@no_cycle_search()
def verify(
    folder: Path | str, tip: str | None = None, race: bool = False, progress: Progress = silent
) -> Report:
    """Everything in a results folder that its files, settings and laws do not allow.

    `tip` demands that the chain ends with this block hash, `race` mines every block again, which
    otherwise is done where it is quick, and `progress` is told what is being done and which share of
    it. Raises Unreadable with all problems of reading.
    """
    findings = Findings()
    keep_freed_memory()
    saved = read_folder(Path(folder), findings, progress)
    check_extent(saved, findings)
    if saved.steps:
        texts = read_texts(Path(folder)) if saved.settings.ours else {}
        check_saved(saved, texts, findings, race, progress)
    found = saved.chain.tip if saved.chain else None
    if tip is not None and tip.strip().lower() != found:
        ends = f"the chain ends with {show(found)}" if found else "there is no chain"
        findings.add("chain", "tip", f"{ends}, expected {show(tip)}")
    counts = {
        "members": len(saved.members),
        "steps": saved.steps,
        "trades": saved.trades.rows,
        "blocks": len(saved.blocks),
    }
    progress("done", 1.0)
    return Report(
        findings.kept,
        dict(findings.totals),
        counts,
        found,
        is_raced(saved, race),
        saved.settings.ours,
    )


def is_raced(saved: Saved, race: bool) -> bool:
    """Whether no race is left that was not run again."""
    rules = saved.settings.chain
    return not saved.chain or rules.version != 1 or race or is_raced_anyway(saved.chain, rules)


def keep_freed_memory() -> None:
    """Lets glibc keep what large arrays free, where it would ask the system for new memory each time.

    It gives pieces back at once that are larger than the largest one freed so far, up to 32 MB, and
    keeps twice that; the setting stays for the process. Elsewhere this does nothing.
    """
    np.empty(31 * 2**20, np.uint8)


def check_extent(saved: Saved, findings: Findings) -> None:
    """The run has steps, and as many as the settings say."""
    told = saved.settings.time_steps
    if saved.steps == 0:
        findings.add("community_summary.csv", "rows", "there is no step at all")
    if told not in (0, saved.steps):
        detail = f"TIME_STEPS is {told}, the files have {saved.steps} steps"
        findings.add("params.json", "number of steps", detail)


def check_saved(saved: Saved, texts: Texts, findings: Findings, race: bool, tell: Progress) -> None:
    """All rules, from the meter to the totals."""
    tell("energy and trades", 0.0)
    check_energy(saved, findings)
    check_day(saved, findings)
    check_scenario(saved, findings)
    check_what_is_asked(saved, findings)
    check_market_rule(saved, findings)
    check_bans(saved, findings)
    if saved.chain:
        check_chain(saved, saved.chain, findings, race, tell)
    tell("money", 0.0)
    paid = check_money(saved, findings)
    check_actions(saved, paid, findings)
    check_accounts(saved, paid, findings)
    tell("totals", 0.0)
    check_steps(saved, texts, findings)
    check_promised(saved, findings)
    check_homes(saved, findings)
    check_totals(saved, cash_to_outside(saved, paid), findings)
    check_extras(saved, findings)
