"""A results folder written by hand, from the description of the results alone.

Three members, three steps, seven trades, four blocks. No code of the project takes part: what
`verify` finds in it, and what it does not, is found by a reading of its own.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from verification import Report

Row = dict[str, Any]

AGGREGATOR, UTILITY, REGULATOR, MINT = -1, -2, -3, -4
CHECKER = Path(__file__).resolve().parents[2] / "shared" / "tools" / "check_results.py"

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
        told = self.params.get("INITIAL_WALLET")
        wallet = round((1.5 if told is None else told) * 10**9)
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
        curtailed = sum(member["curtailed_kwh"] for member in self.members)
        blocks = self.chain["blocks"]
        names = ("pv", "load", "p2p", "market", "grid_import", "grid_export")
        regulator = next(a for a in self.accounts if a["account_id"] == REGULATOR)
        self.summary = {
            "seed": self.params["SEED"],
            **{f"{name}_kwh": total[f"{name}_wh"] / 1000 for name in names},
            "p2p_trades": total["p2p_trades"], "market_trades": total["market_trades"],
            "community_import_kwh": imported, "community_export_kwh": exported,
            "self_sufficiency": 1 - (imported + max(0, -stored)) / (total["load_wh"] / 1000),
            "self_consumption": 1 - (exported + curtailed) / (total["pv_wh"] / 1000),
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
