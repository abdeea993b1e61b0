"""What a run says in figures: columns of members, rows of steps, totals of members, the summary.

Pure functions from a Run to numbers; storage.py writes them, terminal.py prints them. Definitions:
docs/models.md, "Figures of a run".
"""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import fields
from functools import cache, cached_property
from typing import Any

import numpy as np

from records import AGGREGATOR, MINT, REGULATOR, UTILITY, Flows, Money, Real, Reason, TradeKind
from simulator import Run, alone

FLOWS = tuple(column.name for column in fields(Flows))

OUTSIDE = (
    Reason.LOCAL_MARKET,
    Reason.UTILITY_IMPORT,
    Reason.UTILITY_EXPORT,
    Reason.AUCTION_SPREAD,
    Reason.BILL_SHARING,
)
"""Reasons for which members pay to, or get from, aggregator and utility."""


class History:
    """The run's columns, stacked over steps: (T, N) or (T)."""

    def __init__(self, run: Run):
        self.run = run

    def flow(self, name: str) -> np.ndarray:
        """One flow, or renewable_used_wh, of every step and member (T, N), in Wh."""
        return np.stack([getattr(result.flows, name) for result in self.run.steps])

    def state(self, name: str) -> np.ndarray:
        """One column of the state after every step: (T, N), of balance_nanoeur (T, A)."""
        return np.stack([getattr(result.state, name) for result in self.run.steps])

    def ruling(self, name: str) -> np.ndarray:
        """One column of the rulings (T, N)."""
        return np.stack([getattr(result.ruling, name) for result in self.run.steps])

    def price(self, name: str) -> np.ndarray:
        """One settled or expected price (T), micro-euro per kWh."""
        return np.array([getattr(result.prices, name) for result in self.run.steps], np.int64)

    @cached_property
    def totals(self) -> dict[str, np.ndarray]:
        """Each flow summed over the members (T), in Wh."""
        return {
            name: np.array(
                [getattr(result.flows, name).sum() for result in self.run.steps], np.int64
            )
            for name in (*FLOWS, "renewable_used_wh")
        }

    @cached_property
    def net_wh(self) -> np.ndarray:
        """What the members together take from aggregator and utility (T); negative where they give."""
        t = self.totals
        return (
            t["market_bought_wh"] + t["grid_import_wh"] - t["market_sold_wh"] - t["grid_export_wh"]
        )

    @cached_property
    def was_banned(self) -> np.ndarray:
        """(T, N): the ban in force during each step."""
        return np.stack([result.was_banned for result in self.run.steps])


def step_rows(history: History) -> list[dict[str, Any]]:
    """One row of community figures for each step; a name says the unit, without one it counts."""
    rows = []
    profiles = history.run.scenario.profiles
    for t, result in enumerate(history.run.steps):
        flows = {name: int(column[t]) for name, column in history.totals.items()}
        p2p = result.trades.kind == TradeKind.P2P
        p2p_amount = int(result.trades.amount_nanoeur[p2p].sum())
        row: dict[str, Any] = {
            "timestep": t,
            "hour": int(profiles.hour[t]),
            "price_forecast_microeur_per_kwh": result.prices.forecast,
            "pv_wh": flows["pv_wh"],
            "load_wh": flows["load_wh"],
            "surplus_wh": int(np.maximum(result.residual_wh, 0).sum()),
            "deficit_wh": int(np.maximum(-result.residual_wh, 0).sum()),
            "p2p_wh": flows["p2p_bought_wh"],
            "p2p_trades": int(p2p.sum()),
            "market_wh": flows["market_bought_wh"] + flows["market_sold_wh"],
            "market_trades": int((~p2p).sum()),
            "grid_import_wh": flows["grid_import_wh"],
            "grid_export_wh": flows["grid_export_wh"],
            "active_buyers": int((~result.orders.is_sale).sum()),
            "active_sellers": int(result.orders.is_sale.sum()),
            "banned_prosumers": int(result.was_banned.sum()),
            "blocks_mined": len(result.blocks),
            "market_buy_price_microeur_per_kwh": result.prices.market_buy,
            "market_sell_price_microeur_per_kwh": result.prices.market_sell,
            "grid_import_price_microeur_per_kwh": result.prices.grid_import,
            "grid_export_price_microeur_per_kwh": result.prices.grid_export,
            "renewable_bonus_microeur_per_kwh": result.levers.renewable_bonus,
            "p2p_bonus_microeur_per_kwh": result.levers.p2p_bonus,
            "market_penalty_microeur_per_kwh": result.levers.market_penalty,
            "market_price_microeur_per_kwh": result.prices.market,
            "p2p_price_microeur_per_kwh": p2p_amount // flows["p2p_bought_wh"]
            if flows["p2p_bought_wh"]
            else None,
            "net_wh": int(history.net_wh[t]),
            "stored_wh": float(result.state.stored_wh.sum()),
        }
        if profiles.timestamp:
            row["timestamp"] = profiles.timestamp[t]
        rows.append(row)
    return rows


def member_totals(history: History) -> dict[str, np.ndarray]:
    """Totals of each member (N) over the run: energy in Wh, money in nano-euro."""
    run = history.run
    flows = {name: history.flow(name) for name in (*FLOWS, "renewable_used_wh")}
    totals = {name: column.sum(axis=0) for name, column in flows.items()}
    cash_alone, stored_alone = alone(run.scenario)
    totals |= {
        "outside_nanoeur": net_paid(run, OUTSIDE),
        "p2p_nanoeur": net_paid(run, (Reason.P2P,)),
        "bonus_nanoeur": history.ruling("bonus_nanoeur").sum(axis=0),
        "penalty_nanoeur": history.ruling("penalty_nanoeur").sum(axis=0),
        "avoidable_nanoeur": history.ruling("avoidable_nanoeur").sum(axis=0),
        "alone_nanoeur": -cash_alone,
        "stored_change_wh": run.end.stored_wh - run.start.stored_wh,
        "stored_change_alone_wh": stored_alone - run.start.stored_wh,
        "banned_steps": history.was_banned.sum(axis=0),
    }
    price = float(history.price("market").mean())
    cash = totals["outside_nanoeur"] + totals["p2p_nanoeur"]
    here = _net_cost(cash, totals["stored_change_wh"], price)
    without = _net_cost(-cash_alone, totals["stored_change_alone_wh"], price)
    return totals | {
        "net_cost_nanoeur": here,
        "net_cost_alone_nanoeur": without,
        "savings_nanoeur": without - here,
    }


def _net_cost(cash_nanoeur: Money, stored_change_wh: Real, price_microeur_per_kwh: float) -> Money:
    """Each member's bill for energy (N): cash less the value of what its battery gained, in whole nano-euro."""
    return cash_nanoeur - np.rint(stored_change_wh * price_microeur_per_kwh).astype(np.int64)


def net_paid(run: Run, reasons: tuple[Reason, ...]) -> np.ndarray:
    """What each member paid minus what it got for these reasons (N), in nano-euro."""
    paid = np.zeros(run.scenario.fleet.size, np.int64)
    for result in run.steps:
        moves = result.transfers
        wanted = np.isin(moves.reason, reasons)
        for party, sign in ((moves.payer, 1), (moves.payee, -1)):
            rows = wanted & (party >= 0)
            np.add.at(paid, party[rows], sign * moves.amount_nanoeur[rows])
    return paid


def summarize(run: Run) -> dict[str, Any]:
    """The summary of a run, in one call."""
    history = History(run)
    return summary(history, member_totals(history))


def summary(history: History, members: dict[str, np.ndarray]) -> dict[str, Any]:
    """The figures that the terminal prints: energy in kWh, money in EUR, shares with 1 for all.

    savings_share may exceed 1 (a community that earns); self_sufficiency may fall below 0 (a run so short
    that it only empties batteries).
    """
    run, totals = history.run, history.totals
    settings = run.scenario.settings
    n, balance = run.scenario.fleet.size, run.end.balance_nanoeur
    mean_price = float(history.price("market").mean())
    stored_change = float(members["stored_change_wh"].sum())
    stored_change_alone = float(members["stored_change_alone_wh"].sum())
    stored_value = round(stored_change * mean_price)  # whole nano-euro, so that told figures add up
    stored_value_alone = round(stored_change_alone * mean_price)
    cost, alone_cost = int(members["outside_nanoeur"].sum()), int(members["alone_nanoeur"].sum())
    imported, exported = np.maximum(history.net_wh, 0).sum(), np.maximum(-history.net_wh, 0).sum()
    load, pv = int(totals["load_wh"].sum()), int(totals["pv_wh"].sum())
    from_start = max(0.0, -stored_change)
    net, net_alone = cost - stored_value, alone_cost - stored_value_alone
    p2p_wh = int(totals["p2p_bought_wh"].sum())
    market = totals["market_bought_wh"] + totals["market_sold_wh"]
    figures = {
        "seed": settings.SEED,
        "mechanism": settings.MARKET_MECHANISM,
        "objective": settings.REGULATOR_OBJECTIVE,
        "steps": len(run.steps),
        "step_hours": settings.step_hours,
        "members": n,
        "prosumers": run.scenario.fleet.kind.count("prosumer"),
        "consumers": run.scenario.fleet.kind.count("consumer"),
        "pv_kwh": _kwh(pv),
        "load_kwh": _kwh(load),
        "p2p_kwh": _kwh(p2p_wh),
        "p2p_trades": sum(int((r.trades.kind == TradeKind.P2P).sum()) for r in run.steps),
        "p2p_price_eur_per_kwh": _p2p_price(run, p2p_wh),
        "market_kwh": _kwh(market.sum()),
        "market_trades": sum(
            int((r.trades.kind == TradeKind.LOCAL_MARKET).sum()) for r in run.steps
        ),
        "market_price_eur_per_kwh": round(mean_price / 1e6, 6),
        "grid_import_kwh": _kwh(totals["grid_import_wh"].sum()),
        "grid_export_kwh": _kwh(totals["grid_export_wh"].sum()),
        "curtailed_kwh": _kwh(totals["curtailed_wh"].sum()),
        "community_import_kwh": _kwh(imported),
        "community_export_kwh": _kwh(exported),
        "self_sufficiency": _share(load - imported - from_start, load),
        "self_consumption": _share(pv - exported - totals["curtailed_wh"].sum(), pv),
        "community_cost_eur": _eur(cost),
        "stored_change_kwh": round(stored_change / 1000, 6),
        "stored_change_value_eur": _eur(stored_value),
        "net_cost_eur": _eur(net),
        "cost_alone_eur": _eur(alone_cost),
        "stored_change_alone_kwh": round(stored_change_alone / 1000, 6),
        "net_cost_alone_eur": _eur(net_alone),
        "savings_eur": _eur(net_alone - net),
        "savings_share": _share(net_alone - net, net_alone) if net_alone > 0 else None,
        "bonuses_eur": _eur(members["bonus_nanoeur"].sum()),
        "penalties_eur": _eur(members["penalty_nanoeur"].sum()),
        "avoidable_penalties_eur": _eur(members["avoidable_nanoeur"].sum()),
        "members_balance_eur": _eur(balance[:n].sum()),
        "aggregator_balance_eur": _eur(balance[AGGREGATOR]),
        "utility_balance_eur": _eur(balance[UTILITY]),
        "regulator_balance_eur": _eur(balance[REGULATOR]),
        "mint_balance_eur": _eur(balance[MINT]),
        "banned_ever": int((members["banned_steps"] > 0).sum()),
        "banned_member_steps": int(members["banned_steps"].sum()),
        "blocks": len(run.chain.blocks) if run.chain else 0,
        "hashes": sum(block.hashes_tried for block in run.chain.blocks) if run.chain else 0,
        "chain_tip": run.chain.tip.hex() if run.chain else "",
    }
    return figures | {"versions": versions()}


@cache
def versions() -> dict[str, str]:
    """The programs that made a result."""
    names = ("numpy", "pandas", "matplotlib", "seaborn", "scipy", "pydantic")
    return {"python": platform.python_version()} | {n: importlib.metadata.version(n) for n in names}


def _p2p_price(run: Run, p2p_wh: int) -> float | None:
    """EUR per kWh between neighbours; None where nobody traded, or bills are shared at the end.

    Then a trade's price of 0 is no price: what its energy costs is settled with everything else.
    """
    if not p2p_wh or run.scenario.mechanism.settle_period is not None:
        return None
    nanoeur = sum(
        int(r.trades.amount_nanoeur[r.trades.kind == TradeKind.P2P].sum()) for r in run.steps
    )
    return round(nanoeur / p2p_wh / 1e6, 6)


def _kwh(wh: Any) -> float:
    return int(wh) / 1000


def _eur(nanoeur: Any) -> float:
    return round(float(nanoeur) / 1e9, 9)


def _share(part: Any, whole: Any) -> float | None:
    """part / whole, or None where there is no whole."""
    return round(float(part) / float(whole), 6) if whole else None
