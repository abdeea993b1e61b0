"""What a person sees while a command runs and when it ends."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopping import stop_if_asked

if TYPE_CHECKING:
    from settings import Settings

HASHES_PER_SECOND = 3e6
"""Of a CPU, roughly: benchmarks/run.py measures it."""


def is_terminal() -> bool:
    """Whether somebody sees what goes to stderr while it does."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A function (phase, done, total) that moves the progress bar, and stops where that was asked for.

    In a file a bar would be litter, so only a terminal has one.
    """
    if quiet or not is_terminal():
        yield lambda phase, done, total: stop_if_asked()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        def advance(phase: str, done: int, total: int) -> None:
            stop_if_asked()
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=done)

        yield advance


def work_ahead(settings: Settings) -> str:
    """What a block will cost where that is more than a second or so of a CPU, else nothing."""
    attempts = 16**settings.DIFFICULTY_TARGET
    seconds = attempts / HASHES_PER_SECOND
    if settings.CONSENSUS != "pow" or seconds < 2:
        return ""
    units = {"years": 365.25 * 86400, "days": 86400, "hours": 3600, "minutes": 60, "s": 1}
    unit = next((name for name, size in units.items() if seconds >= 2 * size), "s")
    took = f"{seconds / units[unit]:,.0f} {unit}"
    told = f"difficulty {settings.DIFFICULTY_TARGET}: {attempts:,} attempts a block are expected"
    return f"{told}, {took} each on a CPU"


def print_warnings(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def print_summary(
    settings: Settings,
    figures: dict[str, Any],
    timing: dict[str, Any],
    folder: Path,
    plots: bool,
    tariff: bool,
) -> None:
    """The table of the day, where the results are, and the chain tip; `tariff`: prices came from a file."""
    from rich.table import Table

    console = plain_console()
    if settings.VERBOSE:
        table = Table(
            title=_title(figures), show_header=False, title_justify="left", pad_edge=False
        )
        for name, text in summary_lines(figures, timing, tariff, settings.REGULATOR_BUDGET):
            table.add_row(name, text)
        console.print(table)
    print(f"results in {folder}" + (f", figures in {folder / 'plots'}" if plots else ""))
    if figures["chain_tip"]:
        print(f"chain tip to note down: {figures['chain_tip']}")


def plain_console() -> Any:
    """A rich console for tables. Where the reader of the output has gone, guard.py ends the command, not rich."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Plain(highlight=False)


def _title(f: dict[str, Any]) -> str:
    hours = f["steps"] * f["step_hours"]
    return f"{many(f['members'], 'member')}, {hours:g} h, seed {f['seed']}, {f['mechanism']}, {f['objective']}"


def many(number: int, thing: str) -> str:
    """'1 member', '5 members'."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def rounded(value: float, decimals: int = 2, sign: str = "") -> str:
    """A figure of so many decimals, amounts to the cent; hardly anything less than nothing is 0.00, not -0.00."""
    return f"{round(value, decimals) + 0.0:{sign},.{decimals}f}"


def summary_lines(
    f: dict[str, Any], timing: dict[str, Any], tariff: bool, budget_eur: float = math.inf
) -> list[tuple[str, str]]:
    """(name, text) of each line of the closing table; `budget_eur`: what the regulator may hand out."""

    def share(name: str) -> str:
        return "-" if f[name] is None else f"{100 * f[name]:.1f} %"

    p2p_price = f["p2p_price_eur_per_kwh"]
    banned_hours = f["banned_member_steps"] * f["step_hours"]
    is_spent = f["regulator_balance_eur"] <= -budget_eur
    spent = f", its budget of {budget_eur:,.10g} EUR is spent" if is_spent else ""
    lines = [
        ("energy", f"PV {f['pv_kwh']:,.1f} kWh, load {f['load_kwh']:,.1f} kWh"),
        (
            "batteries",
            f"change in content {rounded(f['stored_change_kwh'], 1, '+')} kWh, worth {rounded(f['stored_change_value_eur'], sign='+')} EUR",
        ),
        ("P2P", f"{f['p2p_kwh']:,.1f} kWh in {many(f['p2p_trades'], 'trade')}"),
        ("local market", f"{f['market_kwh']:,.1f} kWh in {many(f['market_trades'], 'trade')}"),
        (
            "utility",
            f"import {f['grid_import_kwh']:,.1f} kWh, export {f['grid_export_kwh']:,.1f} kWh",
        ),
        (
            "community",
            f"import {f['community_import_kwh']:,.1f} kWh, export {f['community_export_kwh']:,.1f} kWh "
            "as a whole",
        ),
        (
            "prices",
            f"P2P {'-' if p2p_price is None else format(p2p_price, '.4f')}, "
            f"{'tariff' if tariff else 'market'} {f['market_price_eur_per_kwh']:.4f} EUR/kWh on average",
        ),
        (
            "self-sufficiency",
            f"{share('self_sufficiency')}, self-consumption {share('self_consumption')}",
        ),
        (
            "net cost",
            f"{rounded(f['net_cost_eur'])} EUR together, {rounded(f['net_cost_alone_eur'])} EUR alone: "
            f"{rounded(f['savings_eur'])} EUR saved",
        ),
        (
            "regulator",
            f"bonuses {rounded(f['bonuses_eur'])} EUR, penalties {rounded(f['penalties_eur'])} EUR "
            f"({rounded(f['avoidable_penalties_eur'])} avoidable){spent}",
        ),
        (
            "balances",
            f"members {rounded(f['members_balance_eur'])}, aggregator {rounded(f['aggregator_balance_eur'])}, "
            f"utility {rounded(f['utility_balance_eur'])}, regulator {rounded(f['regulator_balance_eur'])} EUR",
        ),
        (
            "bans",
            f"{many(f['banned_ever'], 'member')}, {banned_hours:,.6g} member-hour{'s' * (banned_hours != 1)}",
        ),
    ]
    if f["blocks"]:
        rate = timing.get("hashes_per_second", 0)
        speed = f"{rate / 1e6:.2f} million/s" if rate >= 100_000 else f"{rate:,}/s"
        work = f", {f['hashes']:,} hashes, {speed}" if f["hashes"] else ""
        lines.append(("ledger", f"{many(f['blocks'], 'block')} with genesis{work}"))
    memory = timing.get("peak_memory_mb")
    told = f", {memory} MB" if memory else ""  # Windows does not tell
    lines.append(("time", f"{timing['total_seconds']:.2f} s{told}"))
    return lines
