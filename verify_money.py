"""The second reading of the money: every transfer from flows, prices and levers, every account from transfers.

What is due is written down as rows (step, payer, payee, reason, amount); what was paid stands in
transfers.csv. Both are summed by step, payer, payee and reason, and have to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verify_folder import AGGREGATOR, INSTITUTIONS, MINT, REGULATOR, UTILITY, Saved, step_name
from verify_read import UNKNOWN_WORD, WORDS, BoolArray, Findings, IntArray, is_number, show

REASON = {word: code for code, word in enumerate(WORDS["reason"])}
MECHANISM_OF = {
    "auction_spread": "huang",
    "bill_sharing": "bill_sharing",
}  # reasons of one mechanism only


@dataclass(frozen=True)
class Moves:
    """Movements of money as columns; parties as places: members, institutions, then miners."""

    step: IntArray
    payer: IntArray
    payee: IntArray
    reason: IntArray
    nanoeur: IntArray

    def where(self, chosen: BoolArray) -> Moves:
        return Moves(*(column[chosen] for column in vars(self).values()))


def check_money(saved: Saved, findings: Findings) -> int:
    """All rules of money on one folder; gives what members paid to the outside, in nano-euro."""
    paid = check_transfers(saved, findings)
    check_due(saved, paid, findings)
    check_penalties(saved, paid, findings)
    check_exchange(saved, paid, findings)
    check_mechanisms(saved, paid, findings)
    check_actions(saved, paid, findings)
    check_accounts(saved, paid, findings)
    return cash_to_outside(saved, paid)


def check_transfers(saved: Saved, findings: Findings) -> Moves:
    """The transfers whose step, parties, sign and reason make sense; the others are findings."""
    table = saved.transfers
    row = "transfers.csv row {}".format  # counted from 0, the header left out
    payer, payee = saved.places(table["payer_id"]), saved.places(table["payee_id"])
    step, amount = table["timestep"], table["amount_nanoeur"]
    for name, place in (("payer_id", payer), ("payee_id", payee)):
        findings.rows(place < 0, "unknown party", row, lambda i: f"{name} is {table[name][i]}")
    findings.rows(payer == payee, "unknown party", row, lambda i: "payer and payee are the same")
    findings.rows(amount < 0, "negative amount", row, lambda i: f"{amount[i]} nano-euro")
    outside = (step < 0) | (step >= saved.steps)
    findings.rows(outside, "rows", row, lambda i: f"step {step[i]} of {saved.steps}")
    sound = (payer >= 0) & (payee >= 0) & ~outside & (table["reason"] != UNKNOWN_WORD)
    return Moves(step, payer, payee, table["reason"], amount).where(sound)


# ------------------------------------------------------------------------------------------ due


def check_due(saved: Saved, paid: Moves, findings: Findings) -> None:
    """What was paid is what was due, for each step, payer, payee and reason.

    A payment of 0 needs a cause too: energy at a price of 0.
    """
    owed = joined([*energy_dues(saved), *bonus_dues(saved), reward_dues(saved)])
    exact = paid.where(~is_exchange(saved, paid) & (paid.reason < REASON["auction_spread"])
                       & (paid.reason != REASON["market_penalty"]))  # fmt: skip
    key = np.concatenate([keys(saved, owed), keys(saved, exact)])
    kinds, group = np.unique(key, return_inverse=True)
    due, got = np.zeros(len(kinds), np.int64), np.zeros(len(kinds), np.int64)
    np.add.at(due, group[: len(owed.step)], owed.nanoeur)
    np.add.at(got, group[len(owed.step) :], exact.nanoeur)
    caused = np.zeros(len(kinds), np.bool_)
    caused[group[: len(owed.step)]] = True
    for i in np.flatnonzero((due != got) | ~caused).tolist():
        step, payer, payee, reason = unpacked(saved, int(kinds[i]))
        names = saved.party_name(payer), saved.party_name(payee)
        who = names[0] if payer < len(saved.members) else names[1]
        detail = f"{names[0]} to {names[1]}: {got[i]} nano-euro paid, {due[i]} due"
        findings.add(f"step {step}, {who}", f"{WORDS['reason'][reason]} due", detail)
    blocks = 0 if saved.chain is None else len(saved.chain.blocks[1:])
    rewards = int((paid.reason == REASON["block_reward"]).sum())
    if saved.settings.chain.reward_nanoeur and rewards != blocks:
        findings.add("transfers.csv", "one reward per block", f"{rewards} rewards, {blocks} blocks")


def keys(saved: Saved, moves: Moves) -> IntArray:
    """One number for each step, payer, payee and reason."""
    parties = saved.parties
    return (
        (moves.reason * saved.steps + moves.step) * parties + moves.payer
    ) * parties + moves.payee


def unpacked(saved: Saved, key: int) -> tuple[int, int, int, int]:
    key, payee = divmod(key, saved.parties)
    key, payer = divmod(key, saved.parties)
    reason, step = divmod(key, saved.steps)
    return step, payer, payee, reason


def joined(parts: list[Moves]) -> Moves:
    return Moves(
        *(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in parts)))
    )


def member_dues(
    saved: Saved, reason: str, institution: int, pays: bool, wh: IntArray, price: str
) -> Moves:
    """What each member pays to (or gets from) an institution for its energy in each step."""
    row = np.flatnonzero(wh)
    step, member = np.divmod(row, len(saved.members))
    other = np.full(len(row), saved.place_of(institution))
    code = np.full(len(row), REASON[reason])
    amount = wh[row] * saved.community[price][step]
    return Moves(step, member if pays else other, other if pays else member, code, amount)


def energy_dues(saved: Saved) -> list[Moves]:
    """The trades, and what members settle with the utility."""
    trades, energy = saved.trades, saved.energy
    amount = trades["energy_wh"] * trades["price_microeur_per_kwh"]
    buyer, seller = saved.places(trades["buyer_id"]), saved.places(trades["seller_id"])
    reason = trades["trade_type"]  # the two kinds of trades are the first two reasons
    return [
        Moves(trades["timestep"], buyer, seller, reason, amount).where(saved.sound_trades),
        member_dues(saved, "utility_import", UTILITY, True, energy["grid_import_wh"],
                    "grid_import_price_microeur_per_kwh"),
        member_dues(saved, "utility_export", UTILITY, False, energy["grid_export_wh"],
                    "grid_export_price_microeur_per_kwh"),
    ]  # fmt: skip


def bonus_dues(saved: Saved) -> list[Moves]:
    """What the levers give to each member that is not banned."""
    energy, free = saved.energy, 1 - saved.trading["is_banned"]
    p2p = energy["p2p_bought_wh"] + energy["p2p_sold_wh"]
    return [
        member_dues(saved, "renewable_bonus", REGULATOR, False, energy["renewable_used_wh"] * free,
                    "renewable_bonus_microeur_per_kwh"),
        member_dues(saved, "p2p_bonus", REGULATOR, False, p2p * free, "p2p_bonus_microeur_per_kwh"),
    ]  # fmt: skip


def reward_dues(saved: Saved) -> Moves:
    """One reward for the winner of each block after the genesis."""
    blocks = saved.chain.blocks[1:] if saved.chain else []
    miners, first = saved.settings.chain.miners, len(saved.members) + 4
    won = [
        (b.timestep, b.miner) for b in blocks if b.timestep < saved.steps and 0 <= b.miner < miners
    ]
    step, miner = np.array(won, dtype=np.int64).reshape(-1, 2).T
    return Moves(
        step,
        np.full(len(won), saved.place_of(MINT)),
        first + miner,
        np.full(len(won), REASON["block_reward"]),
        np.full(len(won), saved.settings.chain.reward_nanoeur),
    )


# ------------------------------------------------------------------- amounts that have only bounds


def check_penalties(saved: Saved, paid: Moves, findings: Findings) -> None:
    """No market penalty above market energy times lever, paid by members to the regulator alone."""
    penalties = paid.where(paid.reason == REASON["market_penalty"])
    wrong = (penalties.payer >= len(saved.members)) | (penalties.payee != saved.place_of(REGULATOR))
    for i in np.flatnonzero(wrong).tolist():
        names = saved.party_name(int(penalties.payer[i])), saved.party_name(int(penalties.payee[i]))
        detail = f"{names[0]} to {names[1]}, expected a member to the regulator"
        findings.add(f"step {penalties.step[i]}", "market_penalty due", detail)
    got = by_member(saved, penalties.where(~wrong), "payer")
    market = saved.energy["market_bought_wh"] + saved.energy["market_sold_wh"]
    free = 1 - saved.trading["is_banned"]
    most = market * free * saved.in_step("market_penalty_microeur_per_kwh")
    findings.rows(
        got > most,
        "market_penalty due",
        saved.row_name,
        lambda i: f"{got[i]} nano-euro, at most {most[i]}",
    )


def by_member(saved: Saved, moves: Moves, side: str) -> IntArray:
    """Sums by step and member of what moved on one side."""
    sums = np.zeros(saved.steps * len(saved.members), np.int64)
    place: IntArray = getattr(moves, side)
    mine = place < len(saved.members)
    np.add.at(sums, moves.step[mine] * len(saved.members) + place[mine], moves.nanoeur[mine])
    return sums


def is_exchange(saved: Saved, paid: Moves) -> BoolArray:
    """Which transfers settle the aggregator's net exchange with the utility."""
    aggregator, utility = saved.place_of(AGGREGATOR), saved.place_of(UTILITY)
    out = (
        (paid.payer == aggregator)
        & (paid.payee == utility)
        & (paid.reason == REASON["utility_import"])
    )
    back = (
        (paid.payer == utility)
        & (paid.payee == aggregator)
        & (paid.reason == REASON["utility_export"])
    )
    return out | back


def check_exchange(saved: Saved, paid: Moves, findings: Findings) -> None:
    """The aggregator settles the members' net energy at one price between what sellers get and buyers pay."""
    exchange = paid.where(is_exchange(saved, paid))
    net = saved.per_step(saved.energy["market_bought_wh"] - saved.energy["market_sold_wh"])
    low = saved.community["market_sell_price_microeur_per_kwh"]
    high = saved.community["market_buy_price_microeur_per_kwh"]
    for reason, wh in (
        ("utility_import", np.maximum(net, 0)),
        ("utility_export", np.maximum(-net, 0)),
    ):
        moves = exchange.where(exchange.reason == REASON[reason])
        got = np.zeros(saved.steps, np.int64)
        np.add.at(got, moves.step, moves.nanoeur)
        wrong = (got < wh * low) | (got > wh * high) | (got % np.maximum(wh, 1) != 0)
        wrong[moves.step[wh[moves.step] == 0]] = True
        for t in np.flatnonzero(wrong).tolist():
            detail = f"{reason}: {got[t]} nano-euro for {wh[t]} Wh at {low[t]} to {high[t]} micro-euro per kWh"
            findings.add(step_name(t), "aggregator exchange", detail)


def check_mechanisms(saved: Saved, paid: Moves, findings: Findings) -> None:
    """Reasons that belong to one trading mechanism, only where the settings name it.

    auction_spread: a buyer pays the aggregator at most what lies between his limit and the price.
    bill_sharing: members and aggregator settle in the last step.
    """
    for reason, mechanism in MECHANISM_OF.items():
        moves = paid.where(paid.reason == REASON[reason])
        rule = f"{reason} due"
        if len(moves.step) and mechanism not in saved.settings.words:
            for t in moves.step.tolist():
                findings.add(step_name(t), rule, f"no setting names the mechanism {mechanism}")
        elif reason == "auction_spread":
            got, most = by_member(saved, moves, "payer"), spread_limits(saved)
            findings.rows(
                got > most, rule, saved.row_name, lambda i: f"{got[i]} nano-euro, at most {most[i]}"
            )
            strange = (moves.payer >= len(saved.members)) | (
                moves.payee != saved.place_of(AGGREGATOR)
            )
            findings.rows(
                strange, rule, lambda i: step_name(int(moves.step[i])), lambda i: "other parties"
            )
        else:
            early = moves.step != saved.steps - 1
            strange = np.maximum(moves.payer, moves.payee) > saved.place_of(UTILITY)
            findings.rows(
                early | strange,
                rule,
                lambda i: step_name(int(moves.step[i])),
                lambda i: "settled before the last step, or with the regulator, mint or a miner",
            )


def spread_limits(saved: Saved) -> IntArray:
    """Most that each member may lose as auction spread: P2P energy times (own limit - price)."""
    trades = saved.trades
    bought = saved.sound_trades & (trades["trade_type"] == 0) & (trades["buyer_id"] >= 0)
    row = trades["timestep"][bought] * len(saved.members) + trades["buyer_id"][bought]
    limit = saved.trading["limit_price_microeur_per_kwh"][row]
    most = np.zeros(saved.steps * len(saved.members), np.int64)
    gap = np.maximum(limit - trades["price_microeur_per_kwh"][bought], 0)
    np.add.at(most, row, gap * trades["energy_wh"][bought])
    return most


# ----------------------------------------------------------------------------- actions, accounts


def check_actions(saved: Saved, paid: Moves, findings: Findings) -> None:
    """regulator_actions.csv holds what was transferred."""
    bonuses = (paid.reason == REASON["renewable_bonus"]) | (paid.reason == REASON["p2p_bonus"])
    penalties = paid.reason == REASON["market_penalty"]
    for name, moves, side in (("bonus", bonuses, "payee"), ("penalty", penalties, "payer")):
        told, got = saved.actions[f"{name}_nanoeur"], by_member(saved, paid.where(moves), side)
        findings.rows(
            told != got,
            "regulator_actions",
            saved.row_name,
            lambda i: f"{name} is {told[i]} nano-euro, transferred {got[i]}",
        )


def check_accounts(saved: Saved, paid: Moves, findings: Findings) -> None:
    """One row for each account, balance = opening + received - paid, and nothing from nowhere."""
    table, n = saved.accounts, len(saved.members)
    place = saved.places(table["account_id"])
    change = np.zeros(saved.parties, np.int64)
    np.subtract.at(change, paid.payer, paid.nanoeur)
    np.add.at(change, paid.payee, paid.nanoeur)
    ledger = saved.chain is not None
    needed = np.arange(saved.parties) < (saved.parties if ledger else n + 3)
    rows = np.bincount(place[place >= 0], minlength=saved.parties)
    for p in np.flatnonzero((rows > 1) | ((rows == 0) & (needed | (change != 0)))).tolist():
        findings.add(saved.party_name(p), "accounts", f"{rows[p]} rows in accounts.csv, expected 1")
    kinds = [member.kind for member in saved.members] + list(INSTITUTIONS)
    opening, balance = table["opening_nanoeur"].tolist(), table["balance_nanoeur"].tolist()
    for i, p in enumerate(place.tolist()):
        if p < 0:
            findings.add(
                f"accounts.csv row {i}", "accounts", f"nobody has id {table['account_id'][i]}"
            )
            continue
        where = saved.party_name(p)
        kind = WORDS["kind"][table["kind"][i]] if table["kind"][i] != UNKNOWN_WORD else ""
        findings.differ(where, "accounts", "kind", kind, kinds[p] if p < n + 4 else "miner")
        wallet = saved.settings.wallet_nanoeur if p < n else 0
        findings.differ(where, "opening balance", "opening in nano-euro", opening[i], wallet)
        due = opening[i] + int(change[p])
        findings.differ(where, "balance", "balance in nano-euro", balance[i], due)
        if p < n:
            check_told_balance(saved, p, balance[i], findings)
    total = sum(balance) - sum(opening)
    findings.differ("accounts.csv", "money law", "sum of all changes in nano-euro", total, 0)


def check_told_balance(saved: Saved, member: int, nanoeur: int, findings: Findings) -> None:
    """prosumers.json tells the same final balance, if it tells one."""
    for name in ("final_balance_eur", "balance_eur"):
        told = saved.members[member].told.get(name)
        if told is not None and not is_amount(told, nanoeur):
            detail = f"{name} is {show(told)}, accounts.csv says {nanoeur} nano-euro"
            findings.add(f"member {member}", "prosumers.json", detail)


def is_amount(told: object, nanoeur: int) -> bool:
    """Whether a JSON value tells this amount: a text with 9 decimals exactly, a number to its precision."""
    if type(told) is str:
        sign, euros, rest = "-" * (nanoeur < 0), *divmod(abs(nanoeur), 10**9)
        return told == f"{sign}{euros}.{rest:09d}"
    return is_number(told) and abs(told - nanoeur / 1e9) <= 1e-9 + 1e-15 * abs(nanoeur / 1e9)


def cash_to_outside(saved: Saved, transfers: Moves) -> int:
    """What members pay to aggregator and utility minus what they get from them, in nano-euro."""
    n = len(saved.members)
    out = (transfers.payer < n) & np.isin(transfers.payee, (n, n + 1))
    back = (transfers.payee < n) & np.isin(transfers.payer, (n, n + 1))
    return int(transfers.nanoeur[out].sum() - transfers.nanoeur[back].sum())
