"""The second reading finds and names what is wrong in a saved folder, and nothing in a right one.

The folder is written here by hand, from the description of the results alone: three members, three
steps, seven trades, four blocks. No code of the project takes part but verify itself.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verification import Report, Unreadable, verify

Row = dict[str, Any]

AGGREGATOR, UTILITY, REGULATOR, MINT = -1, -2, -3, -4
CHECKER = Path(__file__).resolve().parents[2] / "shared" / "tools" / "check_results.py"

# ------------------------------------------------------------------------------ the day by hand

PARAMS = {
    "SEED": 7, "CONSENSUS": "pow", "TIME_STEPS": 3, "TIME_STEP_DURATION": 1.0, "MAX_TRADE_CAP": 3.0,
    "BATTERY_EFFICIENCY": 0.95, "BATTERY_MIN_SOC": 0.1, "BATTERY_MAX_SOC": 0.95,
    "INITIAL_WALLET": 1.5, "NUM_MINERS": 3, "DIFFICULTY_TARGET": 1, "BLOCK_REWARD": 0.1,
    "MAX_TRANSACTIONS_PER_BLOCK": 2,
}  # fmt: skip
MEMBERS = [
    {"prosumer_id": 0, "kind": "prosumer", "home_type": "type 4", "pv_capacity_kw": 4.0,
     "battery_capacity_kwh": 10.0, "initial_level_kwh": 5.0},
    {"prosumer_id": 1, "kind": "prosumer", "home_type": "type 1", "pv_capacity_kw": 2.5,
     "battery_capacity_kwh": 0.0, "initial_level_kwh": 0.0},
    {"prosumer_id": 2, "kind": "consumer", "home_type": "type 2", "pv_capacity_kw": 0.0,
     "battery_capacity_kwh": 0.0, "initial_level_kwh": 0.0},
]  # fmt: skip
# pv, load, charge, discharge, p2p bought, p2p sold, market bought, market sold, import, export (Wh)
FLOWS = [
    [[3000, 500, 1000, 0, 0, 1200, 0, 300, 0, 0],
     [300, 500, 0, 0, 200, 0, 0, 0, 0, 0],
     [0, 1500, 0, 0, 1000, 0, 400, 0, 100, 0]],
    [[500, 800, 0, 300, 0, 0, 0, 0, 0, 0],
     [1000, 400, 0, 0, 0, 500, 0, 0, 0, 100],
     [0, 900, 0, 0, 500, 0, 0, 0, 400, 0]],
    [[2000, 500, 0, 0, 0, 600, 0, 900, 0, 0],
     [0, 600, 0, 0, 600, 0, 0, 0, 0, 0],
     [0, 700, 0, 0, 0, 0, 0, 0, 700, 0]],
]  # fmt: skip
FLOW_NAMES = (
    "pv_wh", "load_wh", "battery_charge_wh", "battery_discharge_wh", "p2p_bought_wh",
    "p2p_sold_wh", "market_bought_wh", "market_sold_wh", "grid_import_wh", "grid_export_wh",
)  # fmt: skip
# role, order (Wh), limit (micro-euro per kWh)
ORDERS = [
    [["seller", 1500, 100_000], ["buyer", 200, 118_000], ["buyer", 1400, 124_000]],
    [["neutral", 0, None], ["seller", 600, 90_000], ["buyer", 500, 121_000]],
    [["seller", 1500, 104_000], ["buyer", 600, 120_000], ["banned", 0, None]],
]  # fmt: skip
# step, kind, buyer, seller, energy (Wh), price (micro-euro per kWh)
TRADES = [
    [0, "p2p", 2, 0, 1000, 112_000],
    [0, "p2p", 1, 0, 200, 109_000],
    [0, "local_market", 2, -1, 400, 180_000],
    [0, "local_market", -1, 0, 300, 120_000],
    [1, "p2p", 2, 1, 500, 105_500],
    [2, "p2p", 1, 0, 600, 112_001],
    [2, "local_market", -1, 0, 900, 121_000],
]
PRICES = {
    "price_forecast_microeur_per_kwh": [148_000, 152_000, 150_000],
    "market_buy_price_microeur_per_kwh": [180_000, 181_000, 181_000],
    "market_sell_price_microeur_per_kwh": [120_000, 121_000, 121_000],
    "grid_import_price_microeur_per_kwh": [320_000] * 3,
    "grid_export_price_microeur_per_kwh": [30_000] * 3,
    "renewable_bonus_microeur_per_kwh": [20_000] * 3,
    "p2p_bonus_microeur_per_kwh": [10_000, 10_000, 12_000],
    "market_penalty_microeur_per_kwh": [20_000] * 3,
}
WHOLESALE = [150_000, 151_000, 151_000]
BAN_STEPS_LEFT = {(1, 2): 1}  # member 2 is banned after step 1, for one step

UNITS = {"_microeur_per_kwh": ("_eur_per_kwh", 6), "_nanoeur": ("_eur", 9),
         "_milliwh": ("_kwh", 6), "_wh": ("_kwh", 3), "_e4": ("", 4)}  # fmt: skip


def decimal(value: int, decimals: int) -> str:
    sign, digits = "-" * (value < 0), str(abs(value)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def told(row: Row) -> dict[str, str]:
    """A row of a CSV file: names and values as the files promise them."""
    result = {}
    for name, value in row.items():
        suffix = next((s for s in UNITS if name.endswith(s)), None)
        if suffix is None:
            result[name] = str(value)
        else:
            unit, decimals = UNITS[suffix]
            text = "" if value is None else decimal(value, decimals)
            result[name.removesuffix(suffix) + unit] = text
    return result


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def merkle(leaves: list[bytes]) -> bytes:
    """The tree level by level: a node without a partner moves up as it is."""
    while len(leaves) > 1:
        pairs = [sha(b"\1" + b"".join(leaves[i : i + 2])) for i in range(0, len(leaves) - 1, 2)]
        leaves = pairs + leaves[len(pairs) * 2 :]
    return leaves[0] if leaves else sha(b"")


class Folder:
    """A run before it is written, by the contract alone: rows in whole units that a test can change."""

    def __init__(self, **params: Any) -> None:
        self.params: Row = PARAMS | params
        self.members: list[Row] = copy.deepcopy(MEMBERS)
        self.energy = [self.energy_row(t, i) for t in range(3) for i in range(3)]
        self.set_levels()
        self.trades = [self.trade_row(n, *trade) for n, trade in enumerate(TRADES)]
        self.trading = [self.trading_row(t, i) for t in range(3) for i in range(3)]
        self.extra_files: dict[str, bytes] = {}
        self.derive()

    @property
    def ledger(self) -> bool:
        return bool(self.params["CONSENSUS"] != "none")

    def derive(self) -> Folder:
        """Everything that follows from members, energy, orders and trades."""
        self.chain: Row = {"blocks": []}
        if self.ledger:
            self.mine()
        self.blocks: list[Row] | None = None  # written from the chain unless a test sets it
        self.pay()
        self.act()
        self.settle()
        self.sum_up()
        return self

    # ------------------------------------------------------------------------- energy and trades

    def energy_row(self, t: int, i: int) -> Row:
        row = {"timestep": t, "hour": t, "prosumer_id": i}
        row |= {"home_type": MEMBERS[i]["home_type"]}
        row |= dict(zip(FLOW_NAMES, FLOWS[t][i], strict=True))
        used = min(row["pv_wh"], row["load_wh"] + row["battery_charge_wh"])
        return row | {"curtailed_wh": 0, "renewable_used_wh": used}

    def set_levels(self) -> None:
        level = {m["prosumer_id"]: m["initial_level_kwh"] * 1e6 for m in self.members}
        eta = math.sqrt(self.params["BATTERY_EFFICIENCY"])
        for row in self.energy:
            i = row["prosumer_id"]
            level[i] += 1000 * (row["battery_charge_wh"] * eta - row["battery_discharge_wh"] / eta)
            capacity = self.members[i]["battery_capacity_kwh"] * 1e6
            row["battery_level_milliwh"] = round(level[i])
            row["battery_soc_e4"] = round(1e4 * level[i] / capacity) if capacity else 0

    def trade_row(
        self, n: int, t: int, kind: str, buyer: int, seller: int, wh: int, price: int
    ) -> Row:
        return {
            "trade_id": n, "timestep": t, "hour": t, "trade_type": kind, "buyer_id": buyer,
            "seller_id": seller, "energy_wh": wh, "price_microeur_per_kwh": price,
            "amount_nanoeur": wh * price, "block_height": -1, "tx_id": "",
        }  # fmt: skip

    def trading_row(self, t: int, i: int) -> Row:
        role, order, limit = ORDERS[t][i]
        e = self.at(t, i)
        p2p = [x for x in TRADES if x[0] == t and x[1] == "p2p" and i in (x[2], x[3])]
        return {
            "timestep": t, "hour": t, "prosumer_id": i, "role": role,
            "is_banned": role == "banned", "order_wh": order,
            "limit_price_microeur_per_kwh": limit,
            "p2p_wh": e["p2p_bought_wh"] + e["p2p_sold_wh"], "p2p_trades": len(p2p),
            "market_wh": e["market_bought_wh"] + e["market_sold_wh"],
        }  # fmt: skip

    def at(self, t: int, i: int) -> Row:
        return next(r for r in self.energy if (r["timestep"], r["prosumer_id"]) == (t, i))

    # ------------------------------------------------------------------------------------- chain

    def mine(self) -> None:
        """The chain of the trades as they stand, and their places in it."""
        pos = self.params["CONSENSUS"] == "pos"
        miners, size = self.params["NUM_MINERS"], self.params["MAX_TRANSACTIONS_PER_BLOCK"]
        reward = decimal(round(self.params["BLOCK_REWARD"] * 10**9), 9)
        difficulty = 0 if pos else self.params["DIFFICULTY_TARGET"]
        self.chain = {"version": 1 + pos, "difficulty": difficulty, "miners": miners,
                      "block_reward_eur": reward, "blocks": [self.genesis()]}  # fmt: skip
        for t in sorted({trade["timestep"] for trade in self.trades}):
            of_step = [trade for trade in self.trades if trade["timestep"] == t]
            for k in range(0, len(of_step), size):
                for trade in of_step[k : k + size]:
                    trade["block_height"] = len(self.chain["blocks"])
                    trade["tx_id"] = sha(self.record(self.transaction(trade))).hex()
                self.append(t, [self.transaction(trade) for trade in of_step[k : k + size]])

    def genesis(self) -> Row:
        block = {"height": 0, "timestep": 0, "miner": 0, "difficulty": 0, "nonce": 0,
                 "hashes_tried": 0, "previous_hash": "0" * 64,
                 "merkle_root": sha(self.params_bytes).hex(), "transactions": []}  # fmt: skip
        version = 1 + (self.params["CONSENSUS"] == "pos")
        return block | {"block_hash": sha(self.header(block, 0, version)).hex()}

    @property
    def params_bytes(self) -> bytes:
        return (json.dumps(self.params, indent=1) + "\n").encode()

    def transaction(self, trade: Row) -> Row:
        names = ("timestep", "trade_id", "buyer_id", "seller_id", "energy_wh")
        kind = 1 if trade["trade_type"] == "p2p" else 2
        return {"tx_id": trade["tx_id"], "kind": kind, **{name: trade[name] for name in names},
                "price_microeur_per_kwh": trade["price_microeur_per_kwh"]}  # fmt: skip

    def record(self, tx: Row) -> bytes:
        return struct.pack("<BIQiiqq", *list(tx.values())[1:])

    def header(self, block: Row, miner: int, version: int | None = None) -> bytes:
        numbers = (version or self.chain["version"], block["height"], block["timestep"], miner,
                   block["difficulty"], len(block["transactions"]))  # fmt: skip
        hashes = bytes.fromhex(block["previous_hash"]) + bytes.fromhex(block["merkle_root"])
        return struct.pack("<6I", *numbers) + hashes + struct.pack("<Q", block["nonce"])

    def append(self, t: int, transactions: list[Row]) -> None:
        blocks = self.chain["blocks"]
        block = {"height": len(blocks), "timestep": t, "miner": 0, "nonce": 0, "hashes_tried": 0,
                 "difficulty": self.chain["difficulty"], "previous_hash": blocks[-1]["block_hash"],
                 "merkle_root": "", "block_hash": "", "transactions": transactions}  # fmt: skip
        self.seal(block)
        blocks.append(block)

    def seal(self, block: Row, skip: int = 0) -> None:
        """The race as it is told: round by round, miner by miner; `skip` leaves out valid hashes."""
        leaves = [sha(b"\0" + self.record(tx)) for tx in block["transactions"]]
        block["merkle_root"] = merkle(leaves).hex()
        if self.chain["version"] == 2:
            block["miner"] = self.validator(block["height"])
            block["block_hash"] = sha(self.header(block, block["miner"])).hex()
            return
        for tried, (miner, nonce) in enumerate(self.attempts(block["height"]), 1):
            block["nonce"] = nonce
            hashed = sha(self.header(block, miner)).hex()
            if hashed.startswith("0" * block["difficulty"]):
                block |= {"miner": miner, "hashes_tried": tried, "block_hash": hashed}
                if skip == 0:
                    return
                skip -= 1

    def attempts(self, height: int) -> Iterator[tuple[int, int]]:
        miners = self.params["NUM_MINERS"]
        weights = self.params.get("MINER_HASH_POWER") or [1] * miners
        k = 0
        while True:
            for turn in range(miners):
                miner = (height + turn) % miners
                for nonce in range(k * weights[miner], (k + 1) * weights[miner]):
                    yield miner, nonce
            k += 1

    def validator(self, height: int) -> int:
        seed, chosen = sha(bytes.fromhex(self.chain["blocks"][0]["block_hash"])), 0
        for _ in range(height):
            seed = sha(seed + struct.pack("<I", chosen))
            turn, chosen = int.from_bytes(seed, "big") % sum(self.params["VALIDATOR_STAKES"]), 0
            while turn >= self.params["VALIDATOR_STAKES"][chosen]:
                turn -= self.params["VALIDATOR_STAKES"][chosen]
                chosen += 1
        return chosen

    def seal_again(self, first: int = 1) -> None:
        """All blocks from `first` on linked and mined again, whatever they now hold."""
        for height, block in enumerate(self.chain["blocks"]):
            block["height"] = height
            for tx in block["transactions"]:
                tx["tx_id"] = sha(self.record(tx)).hex()
            if height >= max(first, 1):
                block["previous_hash"] = self.chain["blocks"][height - 1]["block_hash"]
                self.seal(block)

    # ------------------------------------------------------------------------------------- money

    def pay(self) -> None:
        """Every transfer as flows, prices and levers demand it."""
        self.transfers: list[Row] = []
        for trade in self.trades:
            reason, amount = trade["trade_type"], trade["amount_nanoeur"]
            self.transfer(trade["timestep"], trade["buyer_id"], trade["seller_id"], amount, reason)
        for e in self.energy:
            t, i = e["timestep"], e["prosumer_id"]
            price = {name: column[t] for name, column in PRICES.items()}
            free = not self.trading[3 * t + i]["is_banned"]
            market = e["market_bought_wh"] + e["market_sold_wh"]
            p2p = e["p2p_bought_wh"] + e["p2p_sold_wh"]
            for payer, payee, wh, lever, reason in (
                (i, UTILITY, e["grid_import_wh"], "grid_import_price", "utility_import"),
                (UTILITY, i, e["grid_export_wh"], "grid_export_price", "utility_export"),
                (REGULATOR, i, free * e["renewable_used_wh"], "renewable_bonus", "renewable_bonus"),
                (REGULATOR, i, free * p2p, "p2p_bonus", "p2p_bonus"),
                (i, REGULATOR, free * market, "market_penalty", "market_penalty"),
            ):
                amount = wh * price[f"{lever}_microeur_per_kwh"]
                self.transfer(t, payer, payee, amount, reason)
        for t in range(3):
            rows = [e for e in self.energy if e["timestep"] == t]
            net = sum(e["market_bought_wh"] - e["market_sold_wh"] for e in rows)
            self.transfer(t, AGGREGATOR, UTILITY, max(net, 0) * WHOLESALE[t], "utility_import")
            self.transfer(t, UTILITY, AGGREGATOR, max(-net, 0) * WHOLESALE[t], "utility_export")
        for block in self.chain["blocks"][1:]:
            amount = round(self.params["BLOCK_REWARD"] * 10**9)
            self.transfer(block["timestep"], MINT, -100 - block["miner"], amount, "block_reward")

    def transfer(self, t: int, payer: int, payee: int, nanoeur: int, reason: str) -> None:
        if nanoeur:
            self.transfers.append({"timestep": t, "payer_id": payer, "payee_id": payee,
                                   "amount_nanoeur": nanoeur, "reason": reason})  # fmt: skip

    def act(self) -> None:
        """What the regulator did, from the transfers."""
        self.actions = []
        for row in self.trading:
            t, i = row["timestep"], row["prosumer_id"]
            mine = [x for x in self.transfers if x["timestep"] == t]
            bonus = [x for x in mine if x["payee_id"] == i and x["reason"].endswith("_bonus")]
            penalty = [x for x in mine if x["payer_id"] == i and x["reason"] == "market_penalty"]
            left = BAN_STEPS_LEFT.get((t, i), 0)
            self.actions.append({
                "timestep": t, "hour": t, "prosumer_id": i,
                "bonus_nanoeur": sum(x["amount_nanoeur"] for x in bonus),
                "penalty_nanoeur": sum(x["amount_nanoeur"] for x in penalty),
                "is_banned": row["is_banned"], "ban_steps_left": left,
                "ban_reason": "excessive_market_use" if left or row["is_banned"] else "",
            })  # fmt: skip

    def settle(self) -> None:
        """All accounts from the transfers."""
        kinds = {m["prosumer_id"]: m["kind"] for m in self.members}
        kinds |= {-1: "aggregator", -2: "utility", -3: "regulator", -4: "mint"}
        kinds |= {-100 - k: "miner" for k in range(self.params["NUM_MINERS"])}
        change: Counter[int] = Counter()
        for row in self.transfers:
            change[row["payer_id"]] -= row["amount_nanoeur"]
            change[row["payee_id"]] += row["amount_nanoeur"]
        wallet = round(self.params["INITIAL_WALLET"] * 10**9)
        self.accounts = []
        for i, kind in kinds.items():
            opening = wallet if i >= 0 else 0
            self.accounts.append({"account_id": i, "kind": kind, "opening_nanoeur": opening,
                                  "balance_nanoeur": opening + change[i]})  # fmt: skip
            if i >= 0:
                balance = round((opening + change[i]) / 1e9, 9)
                self.members[i]["final_balance_eur"] = balance

    # ------------------------------------------------------------------------------------ totals

    def sum_up(self) -> None:
        """Community figures and summary, from members, trades, chain and accounts."""
        self.community = [self.community_row(t) for t in range(3)]
        total = {name: sum(row[name] for row in self.community) for name in self.community[0]}
        nets = [sum(e["market_bought_wh"] + e["grid_import_wh"] - e["market_sold_wh"]
                    - e["grid_export_wh"] for e in self.energy if e["timestep"] == t)
                for t in range(3)]  # fmt: skip
        imported, exported = (
            sum(max(n, 0) for n in nets) / 1000,
            sum(max(-n, 0) for n in nets) / 1000,
        )
        last = sum(e["battery_level_milliwh"] for e in self.energy if e["timestep"] == 2) / 1e6
        stored = last - sum(m["initial_level_kwh"] for m in self.members)
        cost = sum(
            x["amount_nanoeur"] * ((x["payer_id"] >= 0) - (x["payee_id"] >= 0))
            for x in self.transfers
            if {x["payer_id"], x["payee_id"]} & {AGGREGATOR, UTILITY}
        )
        value = stored * sum(WHOLESALE) / 3 / 1e6
        for member in self.members:
            mine = [e for e in self.energy if e["prosumer_id"] == member["prosumer_id"]]
            for name in (*FLOW_NAMES, "curtailed_wh"):
                member[name.replace("_wh", "_kwh")] = sum(e[name] for e in mine) / 1000
        blocks = self.chain["blocks"]
        names = ("pv", "load", "p2p", "market", "grid_import", "grid_export")
        regulator = next(a for a in self.accounts if a["account_id"] == REGULATOR)
        self.summary = {
            "seed": self.params["SEED"],
            **{f"{name}_kwh": total[f"{name}_wh"] / 1000 for name in names},
            "p2p_trades": total["p2p_trades"], "market_trades": total["market_trades"],
            "community_import_kwh": imported, "community_export_kwh": exported,
            "self_sufficiency": 1 - (imported + max(0, -stored)) / (total["load_wh"] / 1000),
            "self_consumption": 1 - exported / (total["pv_wh"] / 1000),
            "community_cost_eur": cost / 1e9, "stored_change_kwh": stored,
            "stored_change_value_eur": value, "net_cost_eur": cost / 1e9 - value,
            "blocks": len(blocks), "hashes": sum(b["hashes_tried"] for b in blocks),
            "chain_tip": blocks[-1]["block_hash"] if blocks else "", "banned_ever": 1,
            "cost_alone_eur": 1.25, "net_cost_alone_eur": 1.0, "versions": {"python": "3"},
            "regulator_balance_eur": regulator["balance_nanoeur"] / 1e9,
        }  # fmt: skip

    def community_row(self, t: int) -> Row:
        rows = [e for e in self.energy if e["timestep"] == t]
        trades = [x for x in self.trades if x["timestep"] == t]
        p2p = [x for x in trades if x["trade_type"] == "p2p"]
        roles = Counter(x["role"] for x in self.trading if x["timestep"] == t)
        sums = {name: sum(e[name] for e in rows) for name in FLOW_NAMES}
        gaps = [e["pv_wh"] + e["battery_discharge_wh"] - e["load_wh"] - e["battery_charge_wh"]
                for e in rows]  # fmt: skip
        needed = -(-len(trades) // self.params["MAX_TRANSACTIONS_PER_BLOCK"])
        price = {name: column[t] for name, column in PRICES.items()}
        return {
            "timestep": t, "hour": t,
            "price_forecast_microeur_per_kwh": price.pop("price_forecast_microeur_per_kwh"),
            "pv_wh": sums["pv_wh"], "load_wh": sums["load_wh"],
            "surplus_wh": sum(max(gap, 0) for gap in gaps),
            "deficit_wh": sum(max(-gap, 0) for gap in gaps),
            "p2p_wh": sums["p2p_bought_wh"], "p2p_trades": len(p2p),
            "market_wh": sums["market_bought_wh"] + sums["market_sold_wh"],
            "market_trades": len(trades) - len(p2p),
            "grid_import_wh": sums["grid_import_wh"], "grid_export_wh": sums["grid_export_wh"],
            "active_buyers": roles["buyer"], "active_sellers": roles["seller"],
            "banned_prosumers": roles["banned"], "blocks_mined": needed if self.ledger else 0,
            **price,
        }  # fmt: skip

    def block_rows(self) -> list[Row]:
        """blocks.csv as the chain has it."""
        names = HEADERS["blocks"].split(",")
        counted = [block | {"transactions": len(block["transactions"])}
                   for block in self.chain["blocks"]]  # fmt: skip
        return [{name: block[name] for name in names} for block in counted]

    # ----------------------------------------------------------------------------------- writing

    def write(self, folder: Path) -> Path:
        """The folder, with every file that a run leaves behind."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {
            "prosumer_energy": self.energy, "prosumer_trading": self.trading,
            "all_trades": self.trades, "regulator_actions": self.actions,
            "community_summary": self.community, "transfers": self.transfers,
            "accounts": self.accounts,
        }  # fmt: skip
        log = [{name: number(text) for name, text in told(row).items()} for row in self.community]
        texts = {"summary.json": self.summary, "prosumers.json": self.members,
                 "simulation_log.json": log, "timing.json": {"total_s": 0.1}}  # fmt: skip
        if self.ledger:
            texts["blockchain.json"] = self.chain
            tables["blocks"] = self.blocks or self.block_rows()
        for name, rows in tables.items():
            with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                header = list(told(rows[0])) if rows else HEADERS[name].split(",")
                writer = csv.DictWriter(file, header, lineterminator="\n")
                writer.writeheader()
                writer.writerows(told(row) for row in rows)
        for name, value in texts.items():
            (folder / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        (folder / "params.json").write_bytes(self.params_bytes)
        for name, data in self.extra_files.items():
            (folder / name).write_bytes(data)
        return folder


def number(text: str) -> float | int:
    return float(text) if "." in text else int(text)


HEADERS = {"blocks": "height,timestep,miner,transactions,nonce,hashes_tried,difficulty,block_hash,"
                     "previous_hash,merkle_root"}  # fmt: skip


def told_by(report: Report) -> str:
    return "\n".join(f"{f.where}: {f.rule}: {f.detail}" for f in report.findings)


def has(report: Report, rule: str, where: str) -> bool:
    return any((finding.rule, finding.where) == (rule, where) for finding in report.findings)


def checker_says(folder: Path) -> int:
    """Exit code of the independent checker."""
    if not CHECKER.is_file():
        pytest.skip(f"the independent checker {CHECKER.name} is not beside this repository")
    done = subprocess.run([sys.executable, str(CHECKER), str(folder)], capture_output=True)
    return done.returncode


# --------------------------------------------------------------------------------- right folders

RIGHT = {
    "as it is": {},
    "at difficulty 2": {"DIFFICULTY_TARGET": 2},
    "at difficulty 0": {"DIFFICULTY_TARGET": 0},
    "with unequal hash power": {"MINER_HASH_POWER": [3, 1, 2]},
    "with an empty list of hash power": {"MINER_HASH_POWER": []},
    "in blocks of 50": {"MAX_TRANSACTIONS_PER_BLOCK": 50},
    "one trade per block": {"MAX_TRANSACTIONS_PER_BLOCK": 1},
    "by proof of stake": {"CONSENSUS": "pos", "VALIDATOR_STAKES": [5, 0, 7]},
    "without ledger": {"CONSENSUS": "none"},
    "without reward": {"BLOCK_REWARD": 0.0},
    "without wallet": {"INITIAL_WALLET": 0.0},
    "without TIME_STEPS": {"TIME_STEPS": 0},
}


@pytest.mark.parametrize("params", RIGHT.values(), ids=RIGHT)
def test_nothing_is_found_in_a_right_folder(params: Row, tmp_path: Path) -> None:
    report = verify(Folder(**params).write(tmp_path), race=True)
    assert report.ok, told_by(report)


@pytest.mark.parametrize("params", RIGHT.values(), ids=RIGHT)
def test_the_independent_checker_finds_nothing_either(params: Row, tmp_path: Path) -> None:
    assert checker_says(Folder(**params).write(tmp_path)) == 0


# --------------------------------------------------------------------------------------- attacks

Change = Callable[[Folder], None]
ATTACKS: dict[str, tuple[Change, str, str, bool, Row]] = {}


def attack(
    rule: str, where: str, checker: bool = True, **params: Any
) -> Callable[[Change], Change]:
    """Registers a change of a right folder, with the rule and the place that must be named.

    `checker` says whether the independent checker has a rule that finds it as well.
    """

    def register(change: Change) -> Change:
        ATTACKS[change.__name__] = (change, rule, where, checker, params)
        return change

    return register


def transactions(run: Folder, height: int) -> list[Row]:
    found: list[Row] = run.chain["blocks"][height]["transactions"]
    return found


@attack("tx_id", "block 1, trade 0")
def energy_changed_on_the_chain(run: Folder) -> None:
    transactions(run, 1)[0]["energy_wh"] += 1


@attack("merkle root", "block 1")
def energy_changed_on_the_chain_with_its_tx_id(run: Folder) -> None:
    tx = transactions(run, 1)[0]
    tx["energy_wh"] += 1
    tx["tx_id"] = run.trades[0]["tx_id"] = sha(run.record(tx)).hex()


@attack("amount", "trade 4")
def energy_changed_in_all_trades(run: Folder) -> None:
    run.trades[4]["energy_wh"] += 1


@attack("chain against trades", "block 3, trade 4")
def price_changed_in_all_trades(run: Folder) -> None:
    run.trades[4]["price_microeur_per_kwh"] += 1
    run.trades[4]["amount_nanoeur"] += 500


@attack("tx_id", "block 3, trade 4")
def price_changed_on_the_chain(run: Folder) -> None:
    transactions(run, 3)[0]["price_microeur_per_kwh"] += 1


@attack("price limit", "trade 4")
def price_above_the_limit_of_the_buyer_with_everything_else_consistent(run: Folder) -> None:
    run.trades[4] |= {"price_microeur_per_kwh": 121_001, "amount_nanoeur": 500 * 121_001}
    run.derive()


@attack("market price", "trade 2")
def one_buyer_pays_the_local_market_another_price(run: Folder) -> None:
    run.trades[2] |= {"price_microeur_per_kwh": 170_000, "amount_nanoeur": 400 * 170_000}
    run.derive()


@attack("chain against trades", "block 1, trade 0")
def buyer_changed_in_all_trades(run: Folder) -> None:
    run.trades[0]["buyer_id"] = 1


@attack("trades and flows", "step 0, member 1")
def buyer_changed_everywhere_but_in_the_meters(run: Folder) -> None:
    run.trades[0]["buyer_id"] = 1
    run.derive()


@attack("unknown party", "trade 1")
def unknown_member_trades(run: Folder) -> None:
    run.trades[1]["buyer_id"] = 3
    run.derive()


@attack("parties", "trade 1")
def member_trades_with_itself(run: Folder) -> None:
    run.trades[1]["buyer_id"] = 0
    run.derive()


@attack("empty trade", "trade 3")
def negative_energy_in_a_trade(run: Folder) -> None:
    run.trades[3] |= {"energy_wh": -300, "amount_nanoeur": -300 * 120_000}
    run.derive()


@attack("negative amount", "transfers.csv line 2")
def negative_amount_of_a_transfer(run: Folder) -> None:
    run.transfers[0]["amount_nanoeur"] *= -1
    run.settle()


@attack("p2p_bonus due", "step 1, member 0", checker=False)
def transfer_of_nothing_for_nothing(run: Folder) -> None:
    run.transfers.append(run.transfers[-1] | {"timestep": 1, "payer_id": REGULATOR, "payee_id": 0,
                                              "amount_nanoeur": 0, "reason": "p2p_bonus"})  # fmt: skip


@attack("trade once", "trade 1")
def trade_removed_from_the_chain(run: Folder) -> None:
    del transactions(run, 1)[1]
    run.seal_again()


@attack("trade once", "block 3, trade 6")
def last_trade_removed_from_all_trades(run: Folder) -> None:
    run.seal_again()
    moved = transactions(run, 4).pop(1)
    transactions(run, 3).append(moved)
    run.seal_again()
    del run.trades[6]


@attack("trade once", "trade 0")
def trade_repeated_on_the_chain(run: Folder) -> None:
    transactions(run, 3).append(dict(transactions(run, 1)[0], timestep=1))
    run.seal_again()


@attack("trade order", "block 2, trade 1")
def trade_moved_to_another_block_of_its_step(run: Folder) -> None:
    moved = transactions(run, 1).pop(1)
    transactions(run, 2).append(moved)
    run.seal_again()
    run.trades[1]["block_height"] = 2


@attack("block step", "block 3, trade 3")
def trade_moved_to_a_block_of_another_step(run: Folder) -> None:
    transactions(run, 3).insert(0, transactions(run, 2).pop(1))
    run.seal_again()
    run.trades[3]["block_height"] = 3


@attack("trades and flows", "step 0, member 2")
def trade_moved_to_another_step_everywhere_but_in_the_meters(run: Folder) -> None:
    run.trades[2] |= {"timestep": 1, "hour": 1}
    run.trades[2], run.trades[3] = run.trades[3] | {"trade_id": 2}, run.trades[2] | {"trade_id": 3}
    run.derive()


@attack("block fill", "block 2", checker=False)
def trade_moved_so_that_a_block_is_not_filled(run: Folder) -> None:
    run.mine()
    del run.chain["blocks"][1:]
    for t, ids in ((0, [0, 1]), (0, [2]), (0, [3]), (1, [4]), (2, [5, 6])):
        for n in ids:
            run.trades[n]["block_height"] = len(run.chain["blocks"])
        run.append(t, [run.transaction(run.trades[n]) for n in ids])
    run.pay()
    run.settle()
    run.sum_up()


@attack("banned member", "trade 6")
def banned_member_trades(run: Folder) -> None:
    run.trading[6] |= {"is_banned": True, "role": "banned"}


@attack("role and ban", "step 2, member 2")
def ban_is_hidden_in_prosumer_trading(run: Folder) -> None:
    run.trading[8]["is_banned"] = False


@attack("ban in force", "step 2, member 2", checker=False)
def ban_is_not_enforced(run: Folder) -> None:
    run.trading[8] |= {"is_banned": False, "role": "neutral"}
    run.pay()
    run.act()
    run.settle()
    run.sum_up()


@attack("ban countdown", "step 2, member 2", checker=False)
def ban_does_not_run_out(run: Folder) -> None:
    run.actions[8] |= {"ban_steps_left": 1, "ban_reason": "low_balance"}


@attack("ban reason", "step 1, member 2", checker=False)
def ban_without_reason(run: Folder) -> None:
    run.actions[5]["ban_reason"] = ""


@attack("link", "block 1")
def block_removed(run: Folder) -> None:
    del run.chain["blocks"][1]


@attack("blocks per step", "step 1")
def block_removed_and_the_rest_mined_again(run: Folder) -> None:
    del run.chain["blocks"][3]
    run.seal_again()


@attack("block order", "block 4")
def blocks_reordered_and_mined_again(run: Folder) -> None:
    blocks = run.chain["blocks"]
    blocks[3], blocks[4] = blocks[4], blocks[3]
    run.seal_again()


@attack("link", "block 3")
def blocks_reordered(run: Folder) -> None:
    blocks = run.chain["blocks"]
    blocks[3], blocks[4] = blocks[4], blocks[3]


@attack("height", "block 4")
def block_repeated(run: Folder) -> None:
    run.chain["blocks"].insert(4, copy.deepcopy(run.chain["blocks"][3]))


@attack("blocks per step", "step 1")
def block_repeated_and_the_rest_mined_again(run: Folder) -> None:
    run.chain["blocks"].insert(4, copy.deepcopy(run.chain["blocks"][3]))
    run.seal_again()


@attack("trade once", "trade 5")
def chain_truncated(run: Folder) -> None:
    run.chain["blocks"].pop()


@attack("blocks per step", "step 2", checker=True)
def chain_truncated_with_blocks_csv_and_rewards(run: Folder) -> None:
    run.chain["blocks"].pop()
    run.pay()
    run.settle()
    run.sum_up()


@attack("empty chain", "chain")
def empty_chain(run: Folder) -> None:
    run.chain["blocks"] = []


@attack("trade once", "trade 0")
def chain_of_the_genesis_alone(run: Folder) -> None:
    del run.chain["blocks"][1:]


@attack("genesis", "block 0")
def forged_genesis_for_another_scenario(run: Folder) -> None:
    run.params["SEED"] = 8
    run.mine()
    run.params["SEED"] = 7


@attack("genesis", "block 0", checker=False)
def genesis_with_a_timestep_of_its_own(run: Folder) -> None:
    genesis = run.chain["blocks"][0]
    genesis["timestep"] = 1
    genesis["block_hash"] = sha(run.header(genesis, 0)).hex()
    run.seal_again()


@attack("genesis", "block 0")
def params_changed_after_the_run(run: Folder) -> None:
    run.params["BASE_PRICE"] = 0.16


@attack("difficulty", "block 1")
def difficulty_lowered_to_save_the_work(run: Folder) -> None:
    run.chain["difficulty"] = 0
    for block in run.chain["blocks"][1:]:
        block["difficulty"] = 0
    run.seal_again()


@attack("proof of work", "block 2", DIFFICULTY_TARGET=2)
def work_of_one_block_is_missing(run: Folder) -> None:
    block = run.chain["blocks"][2]
    block["difficulty"] = 0
    run.seal(block)
    block["difficulty"] = 2
    block["block_hash"] = sha(run.header(block, block["miner"])).hex()
    run.seal_again(3)


@attack("block hash", "block 2")
def miner_changed_after_mining(run: Folder) -> None:
    block = run.chain["blocks"][2]
    block["miner"] = (block["miner"] + 1) % 3


@attack("miner", "block 4")
def miner_that_does_not_exist(run: Folder) -> None:
    block = run.chain["blocks"][4]
    block["miner"] = 3
    while not sha(run.header(block, 3)).hex().startswith("0"):
        block["nonce"] += 1
    block["block_hash"] = sha(run.header(block, 3)).hex()


@attack("block_reward due", "step 1, miner {3}")
def reward_goes_to_another_miner(run: Folder) -> None:
    row = next(x for x in run.transfers if (x["timestep"], x["reason"]) == (1, "block_reward"))
    row["payee_id"] = -101 if row["payee_id"] == -100 else -100
    run.settle()
    run.sum_up()


@attack("block_reward due", "step 2, miner {4}")
def reward_inflated_with_matching_accounts(run: Folder) -> None:
    row = next(x for x in run.transfers if (x["timestep"], x["reason"]) == (2, "block_reward"))
    row["amount_nanoeur"] *= 2
    run.settle()
    run.sum_up()


@attack("chain settings", "chain", checker=False)
def reward_inflated_on_the_chain_alone(run: Folder) -> None:
    run.chain["block_reward_eur"] = "0.200000000"


@attack("renewable_bonus due", "step 1, member 2")
def bonus_that_no_lever_explains_with_matching_accounts(run: Folder) -> None:
    run.transfer(1, REGULATOR, 2, 500_000_000, "renewable_bonus")
    run.actions[5]["bonus_nanoeur"] += 500_000_000
    run.settle()
    run.sum_up()


@attack("renewable_bonus due", "step 2, miner 1", checker=False)
def bonus_for_a_miner(run: Folder) -> None:
    run.transfer(2, REGULATOR, -101, 500_000_000, "renewable_bonus")
    run.settle()
    run.sum_up()


@attack("market_penalty due", "step 0, member 2")
def penalty_above_the_lever(run: Folder) -> None:
    row = next(x for x in run.transfers if x["reason"] == "market_penalty" and x["payer_id"] == 2)
    row["amount_nanoeur"] += 1
    run.actions[2]["penalty_nanoeur"] += 1
    run.settle()
    run.sum_up()


@attack("regulator_actions", "step 0, member 0")
def bonus_told_otherwise_than_paid(run: Folder) -> None:
    run.actions[0]["bonus_nanoeur"] += 1


@attack("utility_export due", "step 2, member 0")
def export_and_import_that_nobody_paid(run: Folder) -> None:
    run.at(2, 0)["grid_export_wh"] += 100
    run.at(2, 0)["grid_import_wh"] += 100
    run.community = [run.community_row(t) for t in range(3)]


@attack("utility_import due", "step 1, member 2")
def import_that_nobody_paid(run: Folder) -> None:
    run.transfers = [x for x in run.transfers if (x["timestep"], x["payer_id"], x["reason"])
                     != (1, 2, "utility_import")]  # fmt: skip
    run.settle()
    run.sum_up()


@attack("aggregator exchange", "step 2", checker=False)
def aggregator_is_not_paid_for_its_surplus(run: Folder) -> None:
    run.transfers = [x for x in run.transfers if x["payee_id"] != AGGREGATOR
                     or x["reason"] != "utility_export"]  # fmt: skip
    run.settle()
    run.sum_up()


@attack("aggregator exchange", "step 1", checker=False)
def aggregator_is_paid_for_nothing(run: Folder) -> None:
    run.transfer(1, UTILITY, AGGREGATOR, 1_000_000, "utility_export")
    run.settle()
    run.sum_up()


@attack("aggregator exchange", "step 0", checker=False)
def aggregator_buys_below_every_price(run: Folder) -> None:
    row = next(x for x in run.transfers if x["payer_id"] == AGGREGATOR and x["payee_id"] == UTILITY)
    row["amount_nanoeur"] = 100 * 119_999
    run.settle()
    run.sum_up()


@attack("unknown word", "transfers.csv line 2")
def money_moved_for_a_reason_of_its_own(run: Folder) -> None:
    run.transfers[0]["reason"] = "gift"


@attack("bill_sharing due", "step 2", checker=False)
def bill_sharing_without_the_mechanism(run: Folder) -> None:
    run.transfer(2, 0, 1, 1_000_000, "bill_sharing")
    run.settle()
    run.sum_up()


@attack("auction_spread due", "step 0", checker=False)
def auction_spread_without_the_mechanism(run: Folder) -> None:
    run.transfer(0, 2, AGGREGATOR, 1_000_000, "auction_spread")
    run.settle()
    run.sum_up()


@attack("unknown party", "transfers.csv line 2")
def money_paid_to_nobody(run: Folder) -> None:
    run.transfers[0]["payee_id"] = 3


@attack("balance", "member 1")
def account_richer_than_its_transfers(run: Folder) -> None:
    run.accounts[1]["balance_nanoeur"] += 1


@attack("money law", "accounts.csv")
def money_from_nowhere(run: Folder) -> None:
    run.accounts[1]["balance_nanoeur"] += 1


@attack("opening", "member 1", checker=False)
def account_opened_with_more_than_the_wallet(run: Folder) -> None:
    run.accounts[1]["opening_nanoeur"] += 1
    run.accounts[1]["balance_nanoeur"] += 1


@attack("accounts", "miner 2", checker=False)
def account_missing(run: Folder) -> None:
    run.accounts = [row for row in run.accounts if row["account_id"] != -102]


@attack("chain settings", "chain")
def chain_rewritten_as_version_2_to_save_the_work(run: Folder) -> None:
    run.chain |= {"version": 2, "difficulty": 0}
    run.params["VALIDATOR_STAKES"] = [1, 1, 1]
    for block in run.chain["blocks"]:
        block |= {"difficulty": 0, "nonce": 0, "hashes_tried": 0}
    genesis = run.chain["blocks"][0]
    genesis["block_hash"] = sha(run.header(genesis, 0)).hex()
    run.seal_again()
    del run.params["VALIDATOR_STAKES"]


@attack("hashes_tried", "block 3")
def hashes_tried_forged_in_every_file(run: Folder) -> None:
    run.chain["blocks"][3]["hashes_tried"] += 3
    run.sum_up()


@attack("hashes_tried", "block 2", checker=False, MINER_HASH_POWER=[3, 1, 2])
def hashes_tried_forged_with_unequal_hash_power(run: Folder) -> None:
    run.chain["blocks"][2]["hashes_tried"] += 1
    run.sum_up()


@attack("chain against trades", "block 1, trade 0")
def block_edited_and_mined_again_with_its_successors(run: Folder) -> None:
    transactions(run, 1)[0]["energy_wh"] += 10
    run.seal_again()


@attack("trades and flows", "step 0, member 2")
def block_edited_and_mined_again_and_all_trades_rewritten(run: Folder) -> None:
    run.trades[0]["energy_wh"] += 10
    run.trades[0]["amount_nanoeur"] += 10 * 112_000
    run.mine()


@attack("p2p due", "step 0, member 2")
def block_edited_and_mined_again_with_trades_and_meters_rewritten(run: Folder) -> None:
    run.trades[0]["energy_wh"] += 10
    run.trades[0]["amount_nanoeur"] += 10 * 112_000
    run.at(0, 2)["p2p_bought_wh"] += 10
    run.at(0, 2)["grid_import_wh"] -= 10
    run.at(0, 0)["p2p_sold_wh"] += 10
    run.at(0, 0)["pv_wh"] += 10
    run.mine()


@attack("stake", "block 2", CONSENSUS="pos", VALIDATOR_STAKES=[5, 0, 7])
def block_sealed_by_a_validator_out_of_turn(run: Folder) -> None:
    block = run.chain["blocks"][2]
    block["miner"] = (block["miner"] + 1) % 3
    block["block_hash"] = sha(run.header(block, block["miner"])).hex()
    for later in run.chain["blocks"][3:]:
        later["previous_hash"] = run.chain["blocks"][later["height"] - 1]["block_hash"]
        later["block_hash"] = sha(run.header(later, later["miner"])).hex()


@attack("stake", "block 1", CONSENSUS="pos", VALIDATOR_STAKES=[5, 0, 7])
def validator_grinds_with_a_nonce(run: Folder) -> None:
    block = run.chain["blocks"][1]
    block["nonce"] = 1
    block["block_hash"] = sha(run.header(block, block["miner"])).hex()


@attack("blocks.csv", "block 2")
def blocks_csv_tells_another_chain(run: Folder) -> None:
    run.blocks = run.block_rows()
    run.blocks[2]["nonce"] += 1


@attack("unknown key", "block 1", checker=False)
def something_hidden_in_a_block(run: Folder) -> None:
    run.chain["blocks"][1]["memo"] = "not covered by any hash"


@attack("hash text", "block 4", checker=True)
def hash_in_upper_case(run: Folder) -> None:
    run.chain["blocks"][4]["block_hash"] = run.chain["blocks"][4]["block_hash"].upper()


@attack("number range", "block 3, trade 4")
def number_that_no_record_can_hold(run: Folder) -> None:
    transactions(run, 3)[0]["energy_wh"] = 2**63


@attack("number range", "block 3")
def number_that_no_header_can_hold(run: Folder) -> None:
    run.chain["blocks"][3]["nonce"] = 2**64


@attack("energy law", "step 1, member 0")
def energy_from_nowhere(run: Folder) -> None:
    run.at(1, 0)["pv_wh"] += 1
    run.at(1, 0)["renewable_used_wh"] += 1


@attack("battery law", "step 1, member 0")
def battery_gives_more_than_it_loses(run: Folder) -> None:
    run.at(1, 0)["battery_level_milliwh"] += 10
    run.at(2, 0)["battery_level_milliwh"] += 10


@attack("battery bounds", "member 0, before step 0")
def battery_begins_above_its_limit(run: Folder) -> None:
    run.members[0]["initial_level_kwh"] = 9.6
    run.set_levels()
    run.sum_up()


@attack("charge and discharge", "step 1, member 0")
def battery_charges_and_discharges_at_once(run: Folder) -> None:
    for flow in ("battery_charge_wh", "battery_discharge_wh"):
        run.at(1, 0)[flow] += 10
    run.set_levels()


@attack("renewable_used", "step 0, member 0")
def renewable_use_inflated(run: Folder) -> None:
    run.at(0, 0)["renewable_used_wh"] += 1


@attack("battery_soc", "step 0, member 0")
def state_of_charge_told_wrong(run: Folder) -> None:
    run.at(0, 0)["battery_soc_e4"] += 20


@attack("negative flow", "step 2, member 1")
def negative_flow(run: Folder) -> None:
    run.at(2, 1)["grid_export_wh"] = -1


@attack("trade cap", "step 2, member 0", checker=False, MAX_TRADE_CAP=1.499)
def member_trades_above_the_cap(run: Folder) -> None:
    pass


@attack("traded above order", "step 0, member 2", checker=False)
def member_trades_more_than_it_ordered(run: Folder) -> None:
    run.trading[2]["order_wh"] = 1399


@attack("role", "step 1, member 2", checker=False)
def buyer_calls_itself_seller(run: Folder) -> None:
    run.trading[5]["role"] = "seller"
    run.sum_up()


@attack("prosumer_trading", "step 0, member 0")
def number_of_trades_told_wrong(run: Folder) -> None:
    run.trading[0]["p2p_trades"] += 1


@attack("community_summary", "step 1")
def community_load_told_wrong(run: Folder) -> None:
    run.community[1]["load_wh"] += 1


@attack("community_summary", "step 2", checker=False)
def ban_not_counted(run: Folder) -> None:
    run.community[2]["banned_prosumers"] = 0


@attack("summary", "summary.json")
def total_told_wrong(run: Folder) -> None:
    run.summary["pv_kwh"] += 1


@attack("summary", "summary.json", checker=False)
def self_sufficiency_told_wrong(run: Folder) -> None:
    run.summary["self_sufficiency"] += 0.001


@attack("summary", "summary.json", checker=False)
def tip_told_wrong(run: Folder) -> None:
    run.summary["chain_tip"] = "0" * 64


@attack("rows", "prosumer_energy.csv, step 1, member 1")
def row_missing(run: Folder) -> None:
    run.energy.remove(run.at(1, 1))


@attack("rows", "prosumer_energy.csv, step 1, member 1")
def row_repeated(run: Folder) -> None:
    run.energy.insert(4, run.at(1, 1))


@attack("hour", "step 1, member 0", checker=False)
def clock_told_wrong(run: Folder) -> None:
    run.energy[3]["hour"] += 1


@attack("number of steps", "params.json", TIME_STEPS=4)
def fewer_steps_than_the_settings_say(run: Folder) -> None:
    pass


@attack("simulation_log", "step 1", checker=False)
def forecast_told_otherwise_in_the_log(run: Folder) -> None:
    log = [{name: number(text) for name, text in told(row).items()} for row in run.community]
    log[1]["price_forecast_eur_per_kwh"] = 0.2
    run.extra_files["simulation_log.json"] = json.dumps(log).encode()


@attack("prosumers.json", "member 1", checker=False)
def member_told_another_balance(run: Folder) -> None:
    run.members[1]["final_balance_eur"] += 0.01


@attack("prosumers.json", "member 0", checker=False)
def member_told_another_total(run: Folder) -> None:
    run.members[0]["pv_kwh"] = 5.501


@attack("kind", "step 0, member 2", checker=False)
def consumer_with_sun(run: Folder) -> None:
    run.at(0, 2)["pv_wh"] += 100
    run.at(0, 2)["grid_import_wh"] -= 100


@attack("no ledger", "blockchain.json", checker=False, CONSENSUS="none")
def chain_in_a_run_without_ledger(run: Folder) -> None:
    run.extra_files["blockchain.json"] = b"{}"


@attack("no ledger", "trade 2", checker=False, CONSENSUS="none")
def trade_on_a_chain_in_a_run_without_ledger(run: Folder) -> None:
    run.trades[2]["block_height"] = 1


@attack("block_reward due", "step 1, miner 1", checker=False, CONSENSUS="none")
def reward_in_a_run_without_ledger(run: Folder) -> None:
    run.transfer(1, MINT, -101, 100_000_000, "block_reward")
    run.settle()
    run.sum_up()


def attacked(name: str) -> Folder:
    change, _, _, _, params = ATTACKS[name]
    run = Folder(**params)
    change(run)
    return run


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_found_and_named(name: str, tmp_path: Path) -> None:
    _, rule, where, _, _ = ATTACKS[name]
    run = attacked(name)
    if "{" in where:  # the winner of a block is known only when it is mined
        where = where.format(*(block["miner"] for block in run.chain["blocks"]))
    report = verify(run.write(tmp_path))
    assert has(report, rule, where), told_by(report)
    assert not report.ok


@pytest.mark.parametrize("name", [name for name in ATTACKS if ATTACKS[name][3]])
def test_the_independent_checker_finds_the_attack_too(name: str, tmp_path: Path) -> None:
    assert checker_says(attacked(name).write(tmp_path)) == 1


def test_a_folder_rewritten_as_a_whole_is_told_apart_by_its_tip(tmp_path: Path) -> None:
    first = verify(Folder().write(tmp_path / "first"))
    other = Folder(SEED=8).write(tmp_path / "other")
    assert verify(other).ok
    report = verify(other, tip=first.tip)
    assert has(report, "tip", "chain")
    assert verify(tmp_path / "first", tip=f" {str(first.tip).upper()}\n").ok


def test_a_tip_is_demanded_in_vain_where_there_is_no_ledger(tmp_path: Path) -> None:
    report = verify(Folder(CONSENSUS="none").write(tmp_path), tip="0" * 64)
    assert has(report, "tip", "chain")
    assert report.tip is None


# ------------------------------------------------------------------------------------------ race


@pytest.mark.parametrize("weights", [None, [3, 1, 2]], ids=["equal", "unequal"])
def test_only_the_race_tells_that_a_winner_was_not_the_first(weights: Any, tmp_path: Path) -> None:
    run = Folder(MINER_HASH_POWER=weights)
    run.seal(run.chain["blocks"][2], skip=1)
    run.seal_again(3)
    run.pay()
    run.settle()
    run.sum_up()
    folder = run.write(tmp_path)
    assert verify(folder).ok
    report = verify(folder, race=True)
    assert [(f.where, f.rule) for f in report.findings] == [("block 2", "race")]


def test_the_race_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    verify(
        Folder().write(tmp_path), race=True, progress=lambda what, share: told.append((what, share))
    )
    assert {"reading", "chain", "race", "money", "totals"} <= {what for what, _ in told}
    assert all(0 <= share <= 1 for _, share in told)
    assert ("race", 1.0) in told


# --------------------------------------------------------------------------- what cannot be read

FILES = (
    "params.json", "prosumers.json", "summary.json", "simulation_log.json", "timing.json",
    "blockchain.json", "blocks.csv", "prosumer_energy.csv", "prosumer_trading.csv",
    "all_trades.csv", "regulator_actions.csv", "community_summary.csv", "transfers.csv",
    "accounts.csv",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The right folder, to be spoilt."""
    return Folder().write(tmp_path / "results")


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(Unreadable) as caught:
        verify(folder)
    assert all(problem.isascii() for problem in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert f"{name}: missing" in problems_of(folder)


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    assert {problem.split(":")[0] for problem in problems_of(tmp_path)} == set(FILES)


@pytest.mark.parametrize("name", ["nowhere", "file", "file/below", "\0", "x" * 5_000])
def test_what_is_no_folder_is_one_problem(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (problem,) = problems_of(tmp_path / name)
    assert problem.endswith("no such folder")


@pytest.mark.parametrize("name", FILES)
def test_half_a_file_is_found(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    try:
        assert not verify(folder).ok
    except Unreadable as error:
        assert any(problem.startswith(name) for problem in error.problems)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff\xfe\x00", b"null", b"[]", b"{}", b"NaN", b"[" * 100_000, b"1" * 5_000,
     b'{"a": 1, "a": 2}', b'"\\ud800"', b"\x00" * 1_000, b"a,b\n1,2\n", b'"', b"x" * 100_000],
    ids=["nothing", "a line feed", "not UTF-8", "null", "list", "object", "NaN", "nested", "digits",
         "a key twice", "lone surrogate", "zero bytes", "other table", "quote", "one long line"],
)  # fmt: skip
def test_a_file_of_something_else_cannot_be_read(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    if name == "timing.json" and content == b"{}":
        assert verify(folder).ok
    elif (name, content) in {("simulation_log.json", b"[]"), ("summary.json", b"{}")}:
        assert not verify(folder).ok  # reads well, and tells too little
    else:
        assert any(problem.startswith(name) for problem in problems_of(folder))


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file_cannot_be_read(name: str, folder: Path) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    assert f"{name}: is not a file" in problems_of(folder)


@pytest.mark.parametrize("name", [name for name in FILES if name != "prosumer_energy.csv"])
def test_a_file_of_a_gigabyte_is_refused_before_it_is_read(name: str, folder: Path) -> None:
    with (folder / name).open("r+b") as file:
        file.truncate(2**30)
    assert any(
        problem.startswith(f"{name}: has 1,073,741,824 bytes") for problem in problems_of(folder)
    )


def test_a_gigabyte_of_meters_is_refused_at_its_first_bad_line(folder: Path) -> None:
    with (folder / "prosumer_energy.csv").open("r+b") as file:
        file.truncate(2**30)
    assert any(problem.startswith("prosumer_energy.csv") for problem in problems_of(folder))


@pytest.mark.parametrize(
    ("old", "new"),
    [('"nonce": ', '"nonce": "'), ('"nonce": ', '"nonce": 1.0, "x": '), ('"height": 1', '"height": true'),
     ('"energy_wh": 1000', '"energy_wh": 1000.0'), ('"energy_wh": 1000', '"energy_wh": null'),
     ('"energy_wh": 1000', '"energy_wh": [1000]'), ('"energy_wh": 1000', '"energy_wh": NaN'),
     ('"energy_wh": 1000', '"energy_wh": Infinity'), ('"energy_wh": 1000', '"energy_wh": 1e3'),
     ('"energy_wh": 1000', '"energy_wh": ' + "9" * 5000), ('"energy_wh": 1000', '"energy": 1000'),
     ('"energy_wh": 1000', '"energy_wh": 1, "energy_wh": 1000'), ('"kind": 1', '"kind": true'),
     ('"version": 1', '"version": "1"'), ('"miners": 3', '"miners": 3.0'),
     ('"transactions": []', '"transactions": {}'), ('"transactions": []', '"transactions": [[]]'),
     ('"transactions": []', '"transactions": [{}]'), ('"blocks": [', '"blocks": [[], '),
     ('"block_reward_eur": "0.100000000"', '"block_reward_eur": 0.1')],
)  # fmt: skip
def test_wrong_types_on_the_chain_cannot_be_read(old: str, new: str, folder: Path) -> None:
    path = folder / "blockchain.json"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert all(problem.startswith("blockchain.json") for problem in problems_of(folder))


@pytest.mark.parametrize("lone", ['"\\ud800"', '"\\u0000"', '"{}"'])
def test_a_text_that_is_no_hash_is_a_finding_that_can_be_printed(lone: str, folder: Path) -> None:
    path = folder / "blockchain.json"
    chain = json.loads(path.read_text(encoding="utf-8"))
    tip = chain["blocks"][-1]["block_hash"]
    text = path.read_text(encoding="utf-8").replace(f'"{tip}"', lone)
    path.write_text(text, encoding="utf-8")
    report = verify(folder)
    assert has(report, "hash text", "block 4")
    assert told_by(report).isascii()


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [("all_trades.csv", ",1.000,", ",1.0,", "line 2: energy_kwh is '1.0'"),
     ("all_trades.csv", ",1.000,", ",abc,", "line 2: energy_kwh is 'abc'"),
     ("all_trades.csv", ",1.000,", ",1e3,", "line 2: energy_kwh is '1e3'"),
     ("all_trades.csv", ",1.000,", ",,", "line 2: energy_kwh is ''"),
     ("all_trades.csv", ",1.000,", ",nan,", "line 2: energy_kwh is 'nan'"),
     ("all_trades.csv", ",1.000,", ", 1.000,", "line 2: energy_kwh is ' 1.000'"),
     ("all_trades.csv", ",1.000,", ",٣.000,", "line 2: energy_kwh is"),
     ("all_trades.csv", ",1.000,", ",2000001.000,", "is beyond 2,000,000"),
     ("all_trades.csv", ",0.112000,", ",2001.000000,", "is beyond 2,000"),
     ("all_trades.csv", "0.112000000", "9999999999.112000000", "is too large a number"),
     ("all_trades.csv", ",1.000,", ",1.000,1.000,", "line 2 has 12 fields, the header has 11"),
     ("all_trades.csv", "energy_kwh", "energy_wh", "columns missing: energy_kwh"),
     ("all_trades.csv", "energy_kwh,", "energy_kwh,energy_kwh,", "two columns"),
     ("all_trades.csv", "\n", "\r\n", "carriage return"),
     ("blocks.csv", "nonce", "once", "columns missing: nonce"),
     ("prosumer_trading.csv", "False", "maybe", "line 2: is_banned is 'maybe'"),
     ("params.json", '"pow"', '"poa"', "CONSENSUS is 'poa', should be one of pow, pos, none"),
     ("params.json", '"NUM_MINERS": 3', '"NUM_MINERS": 0', "NUM_MINERS is 0"),
     ("params.json", '"NUM_MINERS": 3', '"NUM_MINERS": true', "NUM_MINERS is True"),
     ("params.json", '"MAX_TRADE_CAP": 3.0', '"MAX_TRADE_CAP": 1e999', "MAX_TRADE_CAP is inf"),
     ("params.json", '"SEED": 7', '"SEED": 7, "MINER_HASH_POWER": [1]', "list of 3 whole numbers"),
     ("prosumers.json", '"consumer"', '"producer"', "member 2: kind is 'producer'"),
     ("prosumers.json", '"initial_level_kwh": 5.0', '"initial_level_kwh": "5"', "member 0: initial")],
)  # fmt: skip
def test_a_problem_names_file_place_and_value(
    name: str, old: str, new: str, why: str, folder: Path
) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_bytes(text.replace(old, new, 1).encode())
    problems = problems_of(folder)
    assert any(problem.startswith(name) and why in problem for problem in problems), problems


def test_problems_of_all_files_are_told_together_and_not_endlessly(folder: Path) -> None:
    chain = (folder / "blockchain.json").read_text(encoding="utf-8")
    (folder / "blockchain.json").write_text(chain.replace('"kind": 1', '"kind": "1"'))
    (folder / "prosumers.json").write_text(json.dumps([{} for _ in range(1_000)]))
    (folder / "accounts.csv").unlink()
    problems = problems_of(folder)
    assert {p.split(":")[0] for p in problems} == {
        "blockchain.json", "prosumers.json", "accounts.csv"
    }  # fmt: skip
    assert "prosumers.json: 3980 more problems" in problems


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".csv")])
@pytest.mark.parametrize(
    ("spoil", "why"),
    [(lambda text: text[:-1], "the last line does not end with a line feed"),
     (lambda text: text.replace("\n", ",1\n").replace(",1\n", "\n", 1), "line 2 has"),
     (lambda text: text.replace("\n", "\n\n", 2), "line 2 has 1 fields"),
     (lambda text: text.split("\n")[0], "the header does not end with a line feed"),
     (lambda text: "", "is empty")],
    ids=["line cut", "field too many", "empty line", "header alone", "nothing"],
)  # fmt: skip
def test_every_table_is_cut_into_rows_as_strictly(
    name: str, spoil: Callable[[str], str], why: str, folder: Path
) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(spoil(text), encoding="utf-8", newline="\n")
    (problem,) = problems_of(folder)
    assert problem.startswith(f"{name}: {why}")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".csv")])
def test_rows_without_end_are_one_problem(name: str, folder: Path) -> None:
    """Well-formed rows as well: nobody reads thousands of findings about one file."""
    if name == "blocks.csv":
        pytest.skip("its size is bounded by that of all_trades.csv")
    header, *rows = (folder / name).read_text(encoding="utf-8").splitlines()
    more = [rows[i % len(rows)] for i in range(25_000)]
    (folder / name).write_text("\n".join([header, *more]) + "\n", encoding="utf-8")
    (problem,) = problems_of(folder)
    assert problem.endswith(("rows, so many cannot belong here", "can belong here"))
    assert problem.startswith(f"{name}: has ")


@pytest.mark.parametrize("limit", ["-0.000001", "-1.000000", "-2000.000001"])
def test_no_limit_price_passes_for_none(limit: str, folder: Path) -> None:
    """Member 2 is banned in step 2 and has no limit: nothing that a file says may read as that."""
    path = folder / "prosumer_trading.csv"
    text = path.read_text(encoding="utf-8")
    assert ",banned,True,0.000,," in text
    path.write_text(text.replace(",banned,True,0.000,,", f",banned,True,0.000,{limit},"))
    assert f"limit_price_eur_per_kwh is '{limit}'" in problems_of(folder)[0]


@pytest.mark.parametrize(
    "name", ["height", "timestep", "miner", "difficulty", "nonce", "hashes_tried"]
)
@pytest.mark.parametrize("value", [9 * 10**4299, -9 * 10**4298, 2**64, -1], ids=int.bit_length)
def test_a_number_that_no_field_holds_is_found(name: str, value: int, tmp_path: Path) -> None:
    """Two of 4,300 digits have a sum of 4,301, which Python turns into no text."""
    run = Folder()
    for block in run.chain["blocks"][1:3]:
        block[name] = value
    report = verify(run.write(tmp_path))
    assert has(report, "number range", "block 1"), told_by(report)
    assert has(report, "number range", "block 2")


@pytest.mark.parametrize("digits", [10**101, 17 * 10**307, 10**4000], ids=int.bit_length)
def test_figures_of_hundreds_of_digits_are_found(digits: int, tmp_path: Path) -> None:
    run = Folder()
    run.summary |= {"net_cost_alone_eur": digits, "net_cost_eur": -digits, "savings_eur": 0.0}
    assert has(verify(run.write(tmp_path)), "summary", "summary.json")


def test_quoted_fields_and_extra_columns_are_welcome(folder: Path) -> None:
    for name in ("regulator_actions.csv", "transfers.csv"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        more = [f'{line},"a note, quoted"' for line in lines[1:]]
        (folder / name).write_text("\n".join([lines[0] + ",note", *more]) + "\n", encoding="utf-8")
    assert verify(folder).ok


def test_findings_are_counted_though_only_the_first_thousand_of_a_rule_are_kept(
    tmp_path: Path,
) -> None:
    run = Folder()
    run.transfers += [run.transfers[0] | {"payee_id": 99} for _ in range(1_500)]
    report = verify(run.write(tmp_path))
    kept = [finding for finding in report.findings if finding.rule == "unknown party"]
    assert (report.totals["unknown party"], len(kept)) == (1_500, 1_000)
    assert "1,500 x unknown party" in report.summary()


# ------------------------------------------------------------------------------------ properties


@pytest.fixture(scope="module")
def right_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A folder to spoil again and again, and what its files held."""
    folder = Folder().write(tmp_path_factory.mktemp("right") / "results")
    return folder, {name: (folder / name).read_bytes() for name in FILES}


def is_found(folder: Path) -> bool:
    """Whether verify finds anything, readable or not; any other exception fails the test."""
    try:
        return not verify(folder).ok
    except Unreadable:
        return True


def same_values(old: bytes, new: bytes) -> bool:
    try:
        return bool(json.loads(old) == json.loads(new))
    except ValueError:
        return False


MANY = settings(
    max_examples=int(os.environ.get("VERIFY_EXAMPLES", "250")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@MANY
@given(data=st.data())
def test_any_flipped_bit_of_the_chain_that_changes_a_value_is_found(
    right_files: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    folder, files = right_files
    old = files["blockchain.json"]
    place, bit = data.draw(st.integers(0, len(old) - 1)), data.draw(st.integers(0, 7))
    new = bytearray(old)
    new[place] ^= 1 << bit
    (folder / "blockchain.json").write_bytes(new)
    try:
        assert is_found(folder) != same_values(old, bytes(new))
    finally:
        (folder / "blockchain.json").write_bytes(old)


FREE_COLUMNS = {"home_type", "ban_reason", "limit_price_eur_per_kwh", "order_kwh"}
ROUNDED_COLUMNS = {"battery_level_kwh", "battery_soc"}


@MANY
@given(data=st.data())
def test_any_changed_digit_of_a_table_that_the_laws_determine_is_found(
    right_files: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    folder, files = right_files
    name = data.draw(st.sampled_from([name for name in FILES if name.endswith(".csv")]))
    lines = files[name].decode().splitlines()
    row = data.draw(st.integers(1, len(lines) - 1))
    header, fields = lines[0].split(","), lines[row].split(",")
    column = data.draw(st.sampled_from([
        i for i, title in enumerate(header)
        if title not in FREE_COLUMNS | ROUNDED_COLUMNS and any(map(str.isdigit, fields[i]))
    ]))  # fmt: skip
    place = data.draw(st.sampled_from([i for i, c in enumerate(fields[column]) if c.isdigit()]))
    old = int(fields[column][place])
    digit = data.draw(st.integers(0, 9).filter(lambda new: new != old))
    fields[column] = fields[column][:place] + str(digit) + fields[column][place + 1 :]
    lines[row] = ",".join(fields)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        assert is_found(folder), f"{name} line {row + 1}: {header[column]} = {fields[column]}"
    finally:
        (folder / name).write_bytes(files[name])


@MANY
@given(data=st.data())
def test_no_bytes_whatever_end_in_a_traceback(
    right_files: tuple[Path, dict[str, bytes]], data: st.DataObject
) -> None:
    folder, files = right_files
    name = data.draw(st.sampled_from(FILES))
    old = files[name]
    begin = data.draw(st.integers(0, len(old)))
    end = data.draw(st.integers(begin, min(len(old), begin + 200)))
    splinters = [b"", b"-", b"0", b"9" * 20, b"9" * 5000, b"\n", b",", b'"', b"null", b"true", b"{}",
                 b"[", b"-1", b"1e400", b"\\ud800", b"\xf0\x9f\x98\x80"]  # fmt: skip
    middle = data.draw(st.one_of(st.sampled_from(splinters), st.binary(max_size=20)))
    (folder / name).write_bytes(old[:begin] + middle + old[end:])
    try:
        is_found(folder)
    finally:
        (folder / name).write_bytes(old)


# --------------------------------------------------------------------------- the project's own day


@pytest.fixture
def own_day(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the run folder of the fixture default_day, where there is one."""
    try:
        made = Path(request.getfixturevalue("default_day"))
    except pytest.FixtureLookupError:
        pytest.skip("no fixture default_day in conftest.py")
    shutil.copytree(made, tmp_path / "day")
    return tmp_path / "day"


def test_nothing_is_found_in_the_default_day(own_day: Path) -> None:
    report = verify(own_day, race=True)
    assert report.ok, told_by(report)
    assert checker_says(own_day) == 0


@pytest.mark.parametrize("name", ["all_trades.csv", "transfers.csv", "accounts.csv"])
def test_a_changed_digit_in_the_default_day_is_found_by_both(name: str, own_day: Path) -> None:
    lines = (own_day / name).read_text(encoding="utf-8").splitlines()
    row = next(
        i for i, line in enumerate(lines) if i > len(lines) // 3 and "1.0" in line or i == 40
    )
    digit = lines[row].rindex(".") + 3
    changed = str((int(lines[row][digit]) + 1) % 10)
    lines[row] = lines[row][:digit] + changed + lines[row][digit + 1 :]
    (own_day / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not verify(own_day).ok
    assert checker_says(own_day) == 1


def test_an_edited_block_of_the_default_day_is_named(own_day: Path) -> None:
    path = own_day / "blockchain.json"
    chain = json.loads(path.read_text(encoding="utf-8"))
    height = len(chain["blocks"]) // 2
    edited = chain["blocks"][height]["transactions"][0]
    edited["price_microeur_per_kwh"] += 1
    path.write_text(json.dumps(chain), encoding="utf-8")
    report = verify(own_day)
    assert has(report, "tx_id", f"block {height}, trade {edited['trade_id']}"), told_by(report)
    assert has(report, "merkle root", f"block {height}")
    assert checker_says(own_day) == 1
