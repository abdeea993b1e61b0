"""Write the files of a run into a folder.

The files, to the byte, are the contract between the simulation and everything that reads it:
docs/models.md says what each figure means, docs/results.md what each column holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import report
from blockchain import RECORD
from errors import InputError
from records import (
    AGGREGATOR,
    FIRST_MINER,
    MINT,
    REGULATOR,
    UTILITY,
    BanReason,
    Block,
    Real,
    Reason,
    TradeKind,
)
from results_folder import replacing
from settings import nanoeur
from simulator import Run

UNITS = {"_microeur_per_kwh": ("_eur_per_kwh", 6), "_nanoeur": ("_eur", 9), "_wh": ("_kwh", 3)}
"""How a name ends that has a unit: what it becomes for the reader, and by how many decimals."""

# ---------------------------------------------------------------- files


def save(run: Run, folder: Path | str) -> dict[str, Any]:
    """Writes every file of a run but the figures into `folder`, whole or not at all; returns the summary.

    An earlier run in `folder` goes with its figures. Raises InputError where other things lie there.
    """
    try:
        with replacing(Path(folder)) as fresh:
            return write(run, fresh)
    except InputError as error:
        told = [problem.removeprefix("--output ") for problem in error.problems]
        raise InputError(told) from None


def write(
    run: Run, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Writes every file of a run but the figures into an empty folder; returns the summary.

    `progress` is told how many files are done, of how many. timing.json is empty: who measured the run
    writes it again.
    """
    (folder / "params.json").write_bytes(run.scenario.params)
    history = report.History(run)
    members = report.member_totals(history)
    steps = report.step_rows(history)
    figures = report.summary(history, members)
    ids = trade_ids(run)
    contents: dict[str, Callable[[], Any]] = {
        "prosumer_energy.csv": lambda: energy_table(history),
        "prosumer_trading.csv": lambda: trading_table(history),
        "regulator_actions.csv": lambda: ruling_table(history),
        "all_trades.csv": lambda: trades_table(run, ids),
        "community_summary.csv": lambda: community_table(steps),
        "transfers.csv": lambda: transfers_table(run),
        "accounts.csv": lambda: accounts_table(run),
        "summary.json": lambda: figures,
        "timing.json": dict,
        "prosumers.json": lambda: member_list(run, members),
        "simulation_log.json": lambda: [_plain_units(row) for row in steps],
    }
    if chain := run.chain:
        contents["blocks.csv"] = lambda: blocks_table(chain.blocks)
        contents["blockchain.json"] = lambda: chain_document(run, ids)
    for done, (name, content) in enumerate(contents.items()):
        progress(done, len(contents))
        put = _write_table if name.endswith(".csv") else write_json
        put(folder / name, content())
    progress(len(contents), len(contents))
    return figures


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file as all of them are laid out."""
    path.write_bytes((json.dumps(content, indent=1) + "\n").encode())


def _write_table(path: Path, columns: dict[str, Sequence[str]]) -> None:
    """Writes columns of texts of equal length, one name each."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(",".join(columns) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*columns.values(), strict=True))


def energy_table(history: report.History) -> dict[str, Sequence[str]]:
    fleet = history.run.scenario.fleet
    stored = history.state("stored_wh")
    capacity = np.where(fleet.battery_capacity_wh > 0, fleet.battery_capacity_wh, 1.0)
    steps = len(history.run.steps)
    return _member_steps(history) | {
        "home_type": [*fleet.home_type] * steps,
        "pv_kwh": _kwh(history.flow("pv_wh")),
        "load_kwh": _kwh(history.flow("load_wh")),
        "battery_charge_kwh": _kwh(history.flow("charge_wh")),
        "battery_discharge_kwh": _kwh(history.flow("discharge_wh")),
        "battery_level_kwh": fixed(whole_milliwh(stored), 6),
        "battery_soc": fixed(np.rint(stored / capacity * 10_000).astype(np.int64), 4),
        "p2p_bought_kwh": _kwh(history.flow("p2p_bought_wh")),
        "p2p_sold_kwh": _kwh(history.flow("p2p_sold_wh")),
        "market_bought_kwh": _kwh(history.flow("market_bought_wh")),
        "market_sold_kwh": _kwh(history.flow("market_sold_wh")),
        "grid_import_kwh": _kwh(history.flow("grid_import_wh")),
        "grid_export_kwh": _kwh(history.flow("grid_export_wh")),
        "curtailed_kwh": _kwh(history.flow("curtailed_wh")),
        "renewable_used_kwh": _kwh(history.flow("renewable_used_wh")),
    }


def trading_table(history: report.History) -> dict[str, Sequence[str]]:
    run, shape = history.run, history.was_banned.shape
    energy, count = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    role, limit = np.full(shape, "neutral", object), np.full(shape, "", object)
    role[history.was_banned] = "banned"
    for t, result in enumerate(run.steps):
        orders, p2p = result.orders, result.trades.kind == TradeKind.P2P
        energy[t, orders.member] = orders.energy_wh
        role[t, orders.member] = np.where(orders.is_sale, "seller", "buyer")
        if run.scenario.mechanism.has_limits:
            limit[t, orders.member] = fixed(orders.limit_microeur_per_kwh, 6)
        np.add.at(count[t], result.trades.seller[p2p], 1)
        np.add.at(count[t], result.trades.buyer[p2p], 1)
    return _member_steps(history) | {
        "role": role.ravel().tolist(),
        "is_banned": _flags(history.was_banned),
        "order_kwh": _kwh(energy),
        "limit_price_eur_per_kwh": limit.ravel().tolist(),
        "p2p_kwh": _kwh(history.flow("p2p_bought_wh") + history.flow("p2p_sold_wh")),
        "p2p_trades": _whole(count),
        "market_kwh": _kwh(history.flow("market_bought_wh") + history.flow("market_sold_wh")),
    }


def ruling_table(history: report.History) -> dict[str, Sequence[str]]:
    run = history.run
    reason = np.array([reason.name.lower() if reason else "" for reason in BanReason], object)
    after = history.state("ban_reason")
    during = np.concatenate([run.start.ban_reason[None], after[:-1]])
    return _member_steps(history) | {
        "bonus_eur": fixed(history.ruling("bonus_nanoeur"), 9),
        "penalty_eur": fixed(history.ruling("penalty_nanoeur"), 9),
        "is_banned": _flags(history.was_banned),
        "ban_steps_left": _whole(history.state("ban_steps_left")),
        "ban_reason": reason[np.where(after > 0, after, during)].ravel().tolist(),
        "avoidable_penalty_eur": fixed(history.ruling("avoidable_nanoeur"), 9),
    }


def trade_ids(run: Run) -> list[str]:
    """tx_id of each trade in order; empty texts without ledger."""
    if run.chain is None:
        return [""] * sum(result.trades.size for result in run.steps)
    return [sha256(record).hexdigest() for block in run.chain.blocks for record in block.records]


def trades_table(run: Run, ids: list[str]) -> dict[str, Sequence[str]]:
    hours = run.scenario.profiles.hour
    sizes = [result.trades.size for result in run.steps]
    timestep = np.repeat(np.arange(len(run.steps)), sizes)

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(result.trades, name) for result in run.steps])

    heights = [-1] * len(timestep)
    if run.chain:
        heights = [block.height for block in run.chain.blocks for _ in block.records]
    return {
        "trade_id": _whole(np.arange(len(timestep))),
        "timestep": _whole(timestep),
        "hour": _whole(hours[timestep]),
        "trade_type": [TradeKind(kind).name.lower() for kind in column("kind").tolist()],
        "buyer_id": _whole(column("buyer")),
        "seller_id": _whole(column("seller")),
        "energy_kwh": _kwh(column("energy_wh")),
        "price_eur_per_kwh": fixed(column("price_microeur_per_kwh"), 6),
        "amount_eur": fixed(column("amount_nanoeur"), 9),
        "block_height": [str(height) for height in heights],
        "tx_id": ids,
    }


def community_table(steps: list[dict[str, Any]]) -> dict[str, Sequence[str]]:
    """The rows of report.step_rows as texts: the columns that any program may write, then ours to the right."""
    columns: dict[str, Sequence[str]] = {}
    for name in steps[0]:
        values, (told, decimals) = [row[name] for row in steps], unit_of_reader(name)
        if isinstance(values[0], float):
            columns[told] = fixed(whole_milliwh(np.array(values)), decimals + 3)
        elif decimals:
            columns[told] = ["" if v is None else decimal(v, decimals) for v in values]
        else:
            columns[told] = [str(value) for value in values]
    return columns


def transfers_table(run: Run) -> dict[str, Sequence[str]]:
    words = [reason.name.lower() for reason in Reason]
    moves = [result.transfers for result in run.steps]
    return {
        "timestep": _whole(np.repeat(np.arange(len(moves)), [m.size for m in moves])),
        "payer_id": _whole(np.concatenate([m.payer for m in moves])),
        "payee_id": _whole(np.concatenate([m.payee for m in moves])),
        "amount_eur": fixed(np.concatenate([m.amount_nanoeur for m in moves]), 9),
        "reason": [words[reason] for reason in np.concatenate([m.reason for m in moves]).tolist()],
    }


def accounts_table(run: Run) -> dict[str, Sequence[str]]:
    fleet, settings = run.scenario.fleet, run.scenario.settings
    miners = settings.NUM_MINERS if run.chain else 0
    ids = [*range(fleet.size), AGGREGATOR, UTILITY, REGULATOR, MINT]
    ids += [FIRST_MINER - miner for miner in range(miners)]
    kinds = [*fleet.kind, "aggregator", "utility", "regulator", "mint", *["miner"] * miners]
    return {
        "account_id": [str(account) for account in ids],
        "kind": kinds,
        "opening_eur": fixed(run.start.balance_nanoeur[ids], 9),
        "balance_eur": fixed(run.end.balance_nanoeur[ids], 9),
    }


def blocks_table(blocks: list[Block]) -> dict[str, Sequence[str]]:
    names = "height,timestep,miner,transactions,nonce,hashes_tried,difficulty,block_hash,previous_hash,merkle_root"
    rows = [_header(block) | {"transactions": len(block.records)} for block in blocks]
    return {name: [str(row[name]) for row in rows] for name in names.split(",")}


def _header(block: Block) -> dict[str, Any]:
    return {
        "height": block.height,
        "timestep": block.timestep,
        "miner": block.miner,
        "difficulty": block.difficulty,
        "nonce": block.nonce,
        "hashes_tried": block.hashes_tried,
        "previous_hash": block.previous_hash.hex(),
        "merkle_root": block.merkle_root.hex(),
        "block_hash": block.block_hash.hex(),
    }


def chain_document(run: Run, ids: list[str]) -> dict[str, Any]:
    """The content of blockchain.json."""
    assert run.chain is not None
    settings = run.scenario.settings
    names = (
        "kind",
        "timestep",
        "trade_id",
        "buyer_id",
        "seller_id",
        "energy_wh",
        "price_microeur_per_kwh",
    )
    blocks, remaining = [], iter(ids)
    for block in run.chain.blocks:
        rows = np.frombuffer(b"".join(block.records), RECORD).tolist()
        content = [{"tx_id": next(remaining)} | dict(zip(names, row, strict=True)) for row in rows]
        blocks.append(_header(block) | {"transactions": content})
    return {
        "version": run.chain.blocks[0].version,
        "difficulty": settings.DIFFICULTY_TARGET if settings.CONSENSUS == "pow" else 0,
        "miners": settings.NUM_MINERS,
        "block_reward_eur": decimal(nanoeur(settings.BLOCK_REWARD), 9),
        "blocks": blocks,
    }


def member_list(run: Run, totals: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The content of prosumers.json: what each member owns, its totals, its final balance."""
    fleet, end = run.scenario.fleet, run.end
    level_kwh = whole_milliwh(end.stored_wh) / 10**6
    rows = []
    for i in range(fleet.size):
        row: dict[str, Any] = {
            "prosumer_id": i,
            "household_id": fleet.household_id[i],
            "kind": fleet.kind[i],
            "home_type": fleet.home_type[i],
            "pv_capacity_kw": round(float(fleet.pv_capacity_kw[i]), 6),
            "battery_capacity_kwh": round(float(fleet.battery_capacity_wh[i]) / 1000, 6),
            "initial_level_kwh": round(float(fleet.initial_stored_wh[i]) / 1000, 6),
            "final_level_kwh": float(level_kwh[i]),
        }
        row |= _plain_units({name: column[i] for name, column in totals.items()})
        row["final_balance_eur"] = int(end.balance_nanoeur[i]) / 1e9
        rows.append(row)
    return rows


# ---------------------------------------------------------------- numbers as texts


def whole_milliwh(stored_wh: Real | float) -> np.ndarray:
    """What batteries hold, rounded in one way for every file that tells it: thousandths of a Wh."""
    return np.asarray(np.rint(np.multiply(stored_wh, 1000))).astype(np.int64)


def fixed(values: np.ndarray, decimals: int) -> list[str]:
    """Whole numbers of 10**-decimals as texts with exactly that many decimals, row by row."""
    unique, place = np.unique(values, return_inverse=True)
    texts = np.array([decimal(value, decimals) for value in unique.tolist()], object)
    return texts[place.ravel()].tolist() if len(unique) else []


def decimal(value: int, decimals: int) -> str:
    """A whole number of 10**-decimals as a text with exactly that many decimals."""
    whole, part = divmod(abs(value), 10**decimals)
    return f"{'-' if value < 0 else ''}{whole}.{part:0{decimals}d}"


def _kwh(wh: np.ndarray) -> list[str]:
    return fixed(wh, 3)


def _whole(values: np.ndarray) -> list[str]:
    return [str(value) for value in values.ravel().tolist()]


def _flags(values: np.ndarray) -> list[str]:
    return ["true" if value else "false" for value in values.ravel().tolist()]


def _member_steps(history: report.History) -> dict[str, Sequence[str]]:
    """The columns that begin every table of steps and members."""
    steps, n = history.was_banned.shape
    return {
        "timestep": _whole(np.repeat(np.arange(steps), n)),
        "hour": _whole(np.repeat(history.run.scenario.profiles.hour, n)),
        "prosumer_id": _whole(np.tile(np.arange(n), steps)),
    }


def unit_of_reader(name: str) -> tuple[str, int]:
    """A figure's name in kWh, EUR or EUR/kWh, and the decimals that this takes: "pv_wh" is ("pv_kwh", 3)."""
    for suffix, (unit, decimals) in UNITS.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + unit, decimals
    return name, 0


def _plain_units(row: dict[str, Any]) -> dict[str, Any]:
    """The same figures in the units of a reader."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        told, decimals = unit_of_reader(name)
        if isinstance(value, float):
            plain[told] = int(whole_milliwh(value)) / 10 ** (decimals + 3)
        elif value is None or isinstance(value, str):
            plain[told] = value
        else:
            plain[told] = int(value) / 10**decimals if decimals else int(value)
    return plain
