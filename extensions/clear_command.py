"""python main.py clear BOOK.csv: one order book through one market rule."""

from __future__ import annotations

import argparse
import re
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any, TextIO

import numpy as np

import output_file
import settings
from errors import InputError, gather
from extensions.mechanisms import MECHANISMS, no_orders
from guard import Parser, demand_output
from input_tables import examples, numbers, read_table, stop_if
from options import read_config
from records import Orders, StepPrices
from settings import microeur
from storage import decimal, fixed
from terminal import print_warnings, progress
from trading import Clearing, crossing

COLUMNS = ("side", "participant", "energy_kwh", "price_eur_per_kwh")
HEADER = "seller,buyer,energy_kwh,price_eur_per_kwh\n"
MOST_KWH, MOST_EUR_PER_KWH = 1e6, 1e3
PIECE = 1 << 16  # bytes


def command(arguments: list[str]) -> int:
    """Clears the book and prints key: value lines; writes the trades where --output asks for them."""
    parser = Parser(
        prog="python main.py clear",
        description="Clear an order book (side, participant, energy_kwh, price_eur_per_kwh) by one market rule.",
        epilog="example: python main.py clear examples/book.csv --mechanism uniform --output trades.csv",
        allow_abbrev=False,
    )
    parser.add_argument("book", type=Path, metavar="BOOK")
    parser.add_argument(
        "--mechanism",
        default="midpoint",
        metavar="M",
        help=", ".join(MECHANISMS) + "; sharing rules and none do not read prices",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="CSV file for the trades")
    options = parser.parse_args(arguments)
    with progress(quiet=False) as advance:
        advance("reading", 0, 1)
        in_force, orders, names = _read(options)
        rule = MECHANISMS[options.mechanism]
        outside = backstop(microeur(in_force.RETAIL_PRICE), microeur(in_force.FEED_IN_PRICE))
        advance("reading", 1, 1)
        advance("clearing", 0, 1)
        cleared = rule.clear(rule.admit(orders), outside)
        found = figures(orders, cleared)
        advance("clearing", 1, 1)
        if options.output is not None:
            advance("writing", 0, 1)
            write_trades(options.output, cleared, names)
    if options.output is None:
        demand_output()
    for key, value in found.items():
        print(f"{key}: {value}")
    return 0


def _read(options: argparse.Namespace) -> tuple[settings.Settings, Orders, list[str]]:
    """(settings, orders, names); raises InputError with the problems of options, config.py and book."""
    problems: list[str] = []
    if options.mechanism not in MECHANISMS:
        problems.append(f"--mechanism {options.mechanism}: allowed are {', '.join(MECHANISMS)}")
    if options.output is not None:
        if options.output.resolve() == options.book.resolve():
            problems.append(f"--output {options.output}: is the book itself; name another file")
        else:
            kind = "a file of trades"
            gather(problems, lambda: output_file.refuse_unless_ours(options.output, HEADER, kind))
    in_force = gather(problems, lambda: settings.load(read_config()))
    book = gather(problems, lambda: read_book(options.book))
    if in_force is None or book is None or problems:
        raise InputError(problems)
    return in_force, *book


def read_book(path: Path) -> tuple[Orders, list[str]]:
    """(orders, names of the participants): one order per line, in whole Wh and micro-euro per kWh.

    A participant's orders stay separate: each line stands for an owner of its own, and may even meet
    an order of the same participant. A blank file is an empty book.
    """
    import pandas as pd

    if path.is_file() and _is_blank(path):
        return no_orders(), []
    table = read_table(path, "BOOK", {name: (name,) for name in COLUMNS}, may_be_empty=True)
    problems: list[str] = []
    code, words = table["side"].factorize(use_na_sentinel=False)
    words = np.array([str(word).strip().lower() for word in words], object)
    known = np.isin(words, ["buy", "sell"])
    wrong = table.index[~known[code]] if len(words) else []
    problems += examples(
        path, [(row, f"side is {table['side'][row]!r}; allowed are buy and sell") for row in wrong]
    )
    who = table["participant"]
    nobody = table.index[who.isna() | (who.astype(str).str.strip() == "")]
    problems += examples(path, [(row, "participant is empty") for row in nobody])
    energy = numbers(table, "energy_kwh", path, problems, MOST_KWH, "kWh")
    price = numbers(table, "price_eur_per_kwh", path, problems, MOST_EUR_PER_KWH, "EUR/kWh")
    energy_wh = np.rint(energy * 1000).astype(np.int64)
    small = table["energy_kwh"][energy_wh == 0]  # faulty ones, told already, count as zero here
    zero = small.index[pd.to_numeric(small, errors="coerce").between(0, 0.0005)]
    told = "energy_kwh is zero; an order needs at least 0.001"
    problems += examples(path, [(row, told) for row in zero])
    stop_if(problems)
    limit = np.rint(price * 1e6).astype(np.int64)
    rounded = (np.abs(energy * 1e3 - energy_wh) > 1e-6) | (np.abs(price * 1e6 - limit) > 1e-6)
    if rounded.any():
        many = f"{rounded.sum():,} of {len(table):,} orders are"
        told = "rounded to whole Wh and to millionths of a EUR/kWh"
        print_warnings([f"note: {path}: {many} {told}"])
    count = len(table)
    orders = Orders(
        member=np.arange(count, dtype=np.int32),
        is_sale=(words == "sell")[code] if len(words) else np.zeros(0, bool),
        energy_wh=energy_wh,
        limit_microeur_per_kwh=limit,
        of_battery=np.zeros(count, bool),
        tie=np.arange(count),
    )
    return orders, table["participant"].astype(str).tolist()


def _is_blank(path: Path) -> bool:
    """Whether there is such a file, with nothing in it but blanks and line ends."""
    try:
        with open(path, "rb") as file:
            piece = file.read(PIECE).removeprefix(BOM_UTF8)
            while piece and not piece.strip():
                piece = file.read(PIECE)
            return not piece
    except OSError:  # which is told where the table is read
        return False


def backstop(retail: int, feed_in: int) -> StepPrices:
    """The prices that sharing rules read: lb and ls, and nothing else."""
    return StepPrices(
        market=0,
        wholesale_buy=0,
        wholesale_sell=0,
        market_buy=retail,
        market_sell=feed_in,
        grid_import=retail,
        grid_export=feed_in,
        forecast=0,
        expected_buy=retail,
        expected_sell=feed_in,
        mean_24h=0,
    )


def figures(orders: Orders, cleared: Clearing) -> dict[str, Any]:
    """The printed figures: energy, volume-weighted price, marginal orders, welfare."""
    trades = cleared.trades
    energy_wh, amount = exact_sum(trades.energy_wh), exact_sum(trades.amount_nanoeur)
    limit = orders.limit_microeur_per_kwh
    gain = (limit[trades.buyer] - limit[trades.seller]) * trades.energy_wh
    buying, selling, _ = crossing(orders)
    bought, sold = limit[buying[-1:]], limit[selling[-1:]]
    spread = exact_sum(cleared.spread_nanoeur)
    return {
        "traded_kwh": decimal(energy_wh, 3),
        "trades": trades.size,
        "price_eur_per_kwh": f"{amount / energy_wh / 1e6:.6f}" if energy_wh else "-",
        "marginal_bid_eur_per_kwh": f"{bought[0] / 1e6:.6f}" if len(bought) else "-",
        "marginal_ask_eur_per_kwh": f"{sold[0] / 1e6:.6f}" if len(sold) else "-",
        "welfare_eur": decimal(exact_sum(gain), 9),
        "paid_by_buyers_eur": decimal(amount + spread, 9),
        "received_by_sellers_eur": decimal(amount, 9),
    }


def exact_sum(numbers: np.ndarray) -> int:
    """The sum of int64 numbers, also where it is too large for one: the sums of high and low halves."""
    return (int((numbers >> 32).sum()) << 32) + int((numbers & 0xFFFFFFFF).sum())


def _cells(names: list[str]) -> list[str]:
    """Names as a CSV file holds them: in quotes where one has a comma, a quote or a line end (RFC 4180)."""
    special = re.compile('[,"\r\n]')
    if not special.search("".join(names)):
        return names
    return ['"' + n.replace('"', '""') + '"' if special.search(n) else n for n in names]


def write_trades(path: Path, cleared: Clearing, names: list[str]) -> None:
    """Writes seller, buyer, energy_kwh, price_eur_per_kwh."""
    trades, who = cleared.trades, np.array(_cells(names), object)
    columns = (
        who[trades.seller].tolist(),
        who[trades.buyer].tolist(),
        fixed(trades.energy_wh, 3),
        fixed(trades.price_microeur_per_kwh, 6),
    )

    def write_to(file: TextIO) -> None:
        file.write(HEADER)
        lines = map(",".join, zip(*columns, strict=True))
        file.write("\n".join([*lines, ""]))

    output_file.write(path, write_to)
