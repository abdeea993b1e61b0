"""The second reading of money: transfers from flows, prices and levers.

What is due is written down as rows (step, payer, payee, reason, amount); what was paid stands in
transfers.csv. Both are summed by step, payer, payee and reason, and must be equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from verification.findings import BoolArray, Findings, IntArray
from verification.folder import (
    AGGREGATOR,
    BUY_PRICE,
    INSTITUTIONS,
    MARKET_PRICE,
    MINT,
    REGULATOR,
    SELL_PRICE,
    UTILITY,
    Saved,
    step_name,
)
from verification.tables import P2P, UNKNOWN_WORD, WORDS

REASON = {word: code for code, word in enumerate(WORDS["reason"])}
KINDS = ("member", *INSTITUTIONS, "miner")
BETWEEN = {  # of each reason: payer and payee; of a penalty check_penalties says it
    "p2p": [("member", "member")],
    "local_market": [("member", "aggregator"), ("aggregator", "member")],
    "utility_import": [("member", "utility"), ("aggregator", "utility")],
    "utility_export": [("utility", "member"), ("utility", "aggregator")],
    "renewable_bonus": [("regulator", "member")],
    "p2p_bonus": [("regulator", "member")],
    "block_reward": [("mint", "miner")],
}
BOUNDED = [REASON[word] for word in ("market_penalty", "auction_spread", "bill_sharing")]
GRID_PRICE = {
    "utility_import": "grid_import_price_microeur_per_kwh",
    "utility_export": "grid_export_price_microeur_per_kwh",
}


@dataclass(frozen=True)
class Moves:
    """Movements of money as columns; payer and payee are places (Saved.places)."""

    step: IntArray
    payer: IntArray
    payee: IntArray
    reason: IntArray
    nanoeur: IntArray

    def where(self, chosen: BoolArray) -> Moves:
        if chosen.all():
            return self
        return Moves(*(column[chosen] for column in vars(self).values()))

    def of(self, reason: str) -> Moves:
        return self.where(self.reason == REASON[reason])

    def name_step(self, row: int) -> str:
        return step_name(int(self.step[row]))


def check_money(saved: Saved, findings: Findings) -> Moves:
    """All rules of single payments; gives those that check_transfers finds sound."""
    paid = check_transfers(saved, findings)
    check_due(saved, paid, findings)
    check_payments_of_nothing(saved, paid, findings)
    check_parts(saved, paid, findings)
    check_penalties(saved, paid, findings)
    check_exchange(saved, paid, findings)
    check_spread(saved, paid, findings)
    check_sharing(saved, paid, findings)
    return paid


def check_transfers(saved: Saved, findings: Findings) -> Moves:
    """The transfers whose step and parties are known, in runs of ours the reason too; the others are findings."""
    table = saved.transfers
    payer, payee = saved.places(table["payer_id"]), saved.places(table["payee_id"])
    step, nanoeur = table["timestep"], table["amount_nanoeur"]

    def name(row: int) -> str:
        return f"transfers.csv line {row + 2}"

    for side, place in (("payer_id", payer), ("payee_id", payee)):
        findings.rows(place < 0, "unknown party", name, side + " is {}", table[side])
    findings.rows(payer == payee, "parties", name, "{} pays itself", table["payer_id"])
    findings.rows(nanoeur < 0, "negative amount", name, "{} nano-euro", nanoeur)
    outside = (step < 0) | (step >= saved.steps)
    findings.rows(outside, "rows", name, "there is no step {}", step)
    late = np.diff(step, prepend=step[:1]) < 0
    words = "step {} stands after a later one"
    findings.rows(late & saved.settings.ours, "rows", name, words, step)
    known = (table["reason"] != UNKNOWN_WORD) | (not saved.settings.ours)
    sound = (payer >= 0) & (payee >= 0) & ~outside & known
    return Moves(step, payer, payee, table["reason"], nanoeur).where(sound)


# ------------------------------------------------------------------------------ amounts exactly due


def check_due(saved: Saved, paid: Moves, findings: Findings) -> None:
    """What was paid is what was due, for each step, payer, payee and reason.

    In our own runs a payment of 0 needs a cause too; another program may write down that nothing was due.
    """
    exchange = is_exchange(saved, paid)
    for reason, owed in all_dues(saved):
        got = paid.where((paid.reason == REASON[reason]) & ~exchange)
        check_sums(saved, reason, owed, got, findings)
    rewards, blocks = len(paid.of("block_reward").step), len(reward_dues(saved).step)
    if saved.settings.chain.reward_nanoeur:
        findings.differ("transfers.csv", "block_reward due", "number of rewards", rewards, blocks)


def check_sums(saved: Saved, reason: str, owed: Moves, paid: Moves, findings: Findings) -> None:
    """Of one reason, each step, payer and payee has paid as much as is owed, in as many payments."""
    size, rule = len(owed.step), f"{reason} due"
    groups, group = np.unique(
        np.concatenate([keys(saved, owed), keys(saved, paid)]), return_inverse=True
    )
    due, got = np.zeros(len(groups), np.int64), np.zeros(len(groups), np.int64)
    np.add.at(due, group[:size], owed.nanoeur)
    np.add.at(got, group[size:], paid.nanoeur)
    parts_due, parts = (np.bincount(g, minlength=len(groups)) for g in (group[:size], group[size:]))
    too_many = (parts > parts_due) & (parts_due > 0) & saved.settings.ours
    for i in np.flatnonzero(too_many & (due == got)).tolist():
        step, payer, payee = parts_of_key(saved, int(groups[i]))
        detail = f"{parts[i]} payments of what is due in {parts_due[i]}"
        who = f"{saved.party_name(payer)} to {saved.party_name(payee)}"
        findings.add(f"step {step}, {who}", rule, detail)
    causeless = (parts_due == 0) & (saved.settings.ours or reason == "block_reward")
    for i in np.flatnonzero((due != got) | causeless).tolist():
        step, payer, payee = parts_of_key(saved, int(groups[i]))
        names = saved.party_name(payer), saved.party_name(payee)
        who = names[0] if payer < len(saved.members) else names[1]
        detail = f"{names[0]} to {names[1]}: {got[i]} nano-euro paid, {due[i]} due"
        findings.add(f"step {step}, {who}", rule, detail)


def check_payments_of_nothing(saved: Saved, paid: Moves, findings: Findings) -> None:
    """What another program writes down of nothing stands between the parties of its reason all the same."""
    if saved.settings.ours:
        return  # pays nothing of the kind: check_parts
    moves, n = paid.where(paid.nanoeur == 0), len(saved.members)
    payer, payee = (
        np.clip(place - n + 1, 0, len(KINDS) - 1) for place in (moves.payer, moves.payee)
    )
    for reason, couples in BETWEEN.items():
        couple = len(KINDS) * payer + payee
        right = [len(KINDS) * KINDS.index(one) + KINDS.index(other) for one, other in couples]
        wrong = (moves.reason == REASON[reason]) & ~np.isin(couple, right)
        words = "0 nano-euro from {} to {}, whom this reason does not concern"
        names = np.array(KINDS)
        findings.rows(wrong, f"{reason} due", moves.name_step, words, names[payer], names[payee])


def all_dues(saved: Saved) -> Iterator[tuple[str, Moves]]:
    """(reason, what is owed to the nano-euro), for each reason that has such amounts."""
    energy, free = saved.energy, 1 - saved.trading["is_banned"]
    yield "p2p", trade_dues(saved, "p2p")
    yield "local_market", trade_dues(saved, "local_market")
    for reason, institution, wh, price in (
        ("utility_import", UTILITY, energy["grid_import_wh"], "grid_import_price"),
        ("utility_export", UTILITY, energy["grid_export_wh"], "grid_export_price"),
        ("renewable_bonus", REGULATOR, free * energy["renewable_used_wh"], "renewable_bonus"),
        ("p2p_bonus", REGULATOR, free * saved.p2p_wh, "p2p_bonus"),
    ):
        yield reason, member_dues(saved, reason, institution, wh, price)
    yield "block_reward", reward_dues(saved)


def keys(saved: Saved, moves: Moves) -> IntArray:
    """One number for each step, payer, payee and reason."""
    parties = saved.parties
    return (
        (moves.reason * saved.steps + moves.step) * parties + moves.payer
    ) * parties + moves.payee


def parts_of_key(saved: Saved, key: int) -> tuple[int, int, int]:
    """(step, payer, payee) of a key."""
    key, payee = divmod(key, saved.parties)
    key, payer = divmod(key, saved.parties)
    return key % saved.steps, payer, payee


def trade_dues(saved: Saved, kind: str) -> Moves:
    """What buyers owe sellers for trades of this kind."""
    trades = saved.trades
    amount = trades["energy_wh"] * trades["price_microeur_per_kwh"]
    buyer, seller = saved.places(trades["buyer_id"]), saved.places(trades["seller_id"])
    reason = trades["trade_type"]  # the two kinds of trades are the first two reasons
    chosen = saved.sound_trades & (reason == REASON[kind])
    return Moves(trades["timestep"], buyer, seller, reason, amount).where(chosen)


def member_dues(saved: Saved, reason: str, institution: int, wh: IntArray, price: str) -> Moves:
    """What an institution owes each member for its energy in each step; imports the member owes it."""
    row = np.flatnonzero(wh)
    step, member = np.divmod(row, len(saved.members))
    other = np.full(len(row), saved.place_of(institution))
    payer, payee = (member, other) if reason == "utility_import" else (other, member)
    nanoeur = wh[row] * saved.community[f"{price}_microeur_per_kwh"][step]
    return Moves(step, payer, payee, np.full(len(row), REASON[reason]), nanoeur)


def reward_dues(saved: Saved) -> Moves:
    """One reward for the winner of each block after the genesis."""
    miners, reward = saved.settings.chain.miners, saved.settings.chain.reward_nanoeur
    won = [
        (block.timestep, block.miner)
        for block in saved.blocks[1:]
        if 0 <= block.timestep < saved.steps and 0 <= block.miner < miners
    ]
    step, miner = np.array(won, dtype=np.int64).reshape(-1, 2).T
    mint = np.full_like(step, saved.place_of(MINT))
    code = np.full_like(step, REASON["block_reward"])
    first_miner = len(saved.members) + len(INSTITUTIONS)
    return Moves(step, mint, first_miner + miner, code, np.full_like(step, reward))


def check_parts(saved: Saved, paid: Moves, findings: Findings) -> None:
    """A run of this program pays at once where no exact sum is due (a spread once for each trade), and never 0."""
    if not saved.settings.ours:
        return
    names, n = [f"{word} due" for word in WORDS["reason"]], len(saved.members)
    for i in np.flatnonzero(paid.nanoeur == 0).tolist():
        findings.add(paid.name_step(i), names[paid.reason[i]], "a payment of 0 nano-euro")
    rest = paid.where(np.isin(paid.reason, BOUNDED) | is_exchange(saved, paid))
    _, first, parts = np.unique(keys(saved, rest), return_index=True, return_counts=True)
    due, trades = np.ones(len(first), np.int64), saved.trades
    spread = (rest.reason[first] == REASON["auction_spread"]) & (rest.payer[first] < n)
    p2p = saved.sound_trades & (trades["trade_type"] == P2P) & (trades["buyer_id"] >= 0)
    place = trades["timestep"][p2p] * n + trades["buyer_id"][p2p]
    bought = np.bincount(place, minlength=saved.steps * n)  # trades of each buyer
    place = (rest.step * n + rest.payer)[first[spread]]
    due[spread] = np.maximum(bought[place], 1)
    for i in np.flatnonzero(parts > due).tolist():
        detail = f"{parts[i]} payments of what is due in {due[i]}"
        findings.add(rest.name_step(first[i]), names[rest.reason[first[i]]], detail)


# ------------------------------------------------------------------------ amounts that have bounds


def check_penalties(saved: Saved, paid: Moves, findings: Findings) -> None:
    """Market penalties are market energy times lever, from members to the regulator alone.

    The contract lets another program's regulator take less.
    """
    moves = paid.of("market_penalty")
    wrong = (moves.payer >= len(saved.members)) | (moves.payee != saved.place_of(REGULATOR))
    words = "{} nano-euro between other parties than a member and the regulator"
    findings.rows(wrong, "market_penalty due", moves.name_step, words, moves.nanoeur)
    lever = np.repeat(saved.community["market_penalty_microeur_per_kwh"], len(saved.members))
    most = (1 - saved.trading["is_banned"]) * saved.market_wh * lever
    got = by_member(saved, moves.where(~wrong), moves.where(~wrong).payer)
    wrong = got != most if saved.settings.ours else got > most
    words = "{} nano-euro paid, {} due"
    findings.rows(wrong, "market_penalty due", saved.row_name, words, got, most)


def by_member(saved: Saved, moves: Moves, place: IntArray) -> IntArray:
    """Sums by step and member, for the members among `place` (the payers or the payees)."""
    n = len(saved.members)
    sums, mine = np.zeros(saved.steps * n, np.int64), place < n
    np.add.at(sums, moves.step[mine] * n + place[mine], moves.nanoeur[mine])
    return sums


def is_exchange(saved: Saved, moves: Moves) -> BoolArray:
    """Which transfers settle the aggregator's net exchange with the utility."""
    aggregator, utility = saved.place_of(AGGREGATOR), saved.place_of(UTILITY)
    bought = (moves.payer == aggregator) & (moves.payee == utility)
    sold = (moves.payer == utility) & (moves.payee == aggregator)
    bought &= moves.reason == REASON["utility_import"]
    return np.asarray(bought | (sold & (moves.reason == REASON["utility_export"])))


def check_exchange(saved: Saved, paid: Moves, findings: Findings) -> None:
    """The aggregator settles the members' net market energy, and only that, with the utility.

    Its price is the market price of the step: where no column tells it, one between what sellers get
    and buyers pay.
    """
    exchange = paid.where(is_exchange(saved, paid))
    net = saved.per_step(saved.energy["market_bought_wh"] - saved.energy["market_sold_wh"])
    low, high = saved.community[SELL_PRICE], saved.community[BUY_PRICE]
    if saved.settings.ours:
        low = high = saved.community[MARKET_PRICE]
    flows = {"utility_import": np.maximum(net, 0), "utility_export": np.maximum(-net, 0)}
    for reason, wh in flows.items():
        moves, got = exchange.of(reason), np.zeros(saved.steps, np.int64)
        np.add.at(got, moves.step, moves.nanoeur)
        if saved.settings.took("prices"):  # one price for each direction, whatever the market is
            low = high = saved.community[GRID_PRICE[reason]]
        price, rest = np.divmod(got, np.maximum(wh, 1))  # price * Wh of all may be beyond int64
        wrong = (wh > 0) & ((price < low) | (price > high) | (rest != 0))
        wrong[moves.step[wh[moves.step] == 0]] = True
        words = reason + ": {} nano-euro for {} Wh at {} to {} micro-euro per kWh"
        findings.rows(wrong, "aggregator exchange", step_name, words, got, wh, low, high)


def check_spread(saved: Saved, paid: Moves, findings: Findings) -> None:
    """auction_spread: each buyer of a step pays the aggregator the same beyond the price, for each Wh.

    What that is, is the lowest bid that meets an ask, less the price.
    """
    moves, n = paid.of("auction_spread"), len(saved.members)
    huang = saved.settings.mechanism == "huang"
    strange = (moves.payer >= n) | (moves.payee != saved.place_of(AGGREGATOR)) | (not huang)
    words = "{} nano-euro between other parties, or without the mechanism huang"
    findings.rows(strange, "auction_spread due", moves.name_step, words, moves.nanoeur)
    if not huang:
        return
    bought, got = saved.energy["p2p_bought_wh"], by_member(saved, moves, moves.payer)
    price, limit = saved.reduction.bid, saved.trading["limit_price_microeur_per_kwh"]
    spread = np.repeat(price - spread_price(saved), n)
    beyond = (bought > 0) & (np.repeat(price, n) > limit)
    wrong = (got != spread * bought) | beyond
    words = "{} nano-euro paid beyond the price for {} Wh, {} micro-euro per kWh are due, up to the limit"
    findings.rows(wrong, "auction_spread due", saved.row_name, words, got, bought, spread)


def spread_price(saved: Saved) -> IntArray:
    """The price between neighbours in each step (T); under huang all trades of a step have one."""
    trades, price = saved.trades, np.zeros(saved.steps, np.int64)
    p2p = saved.sound_trades & (trades["trade_type"] == P2P)
    price[trades["timestep"][p2p]] = trades["price_microeur_per_kwh"][p2p]
    return price


def check_sharing(saved: Saved, paid: Moves, findings: Findings) -> None:
    """bill_sharing: after the last step the community's bill and income are shared by net energy."""
    moves, n = paid.of("bill_sharing"), len(saved.members)
    shares = saved.settings.mechanism == "bill_sharing"
    aggregator = saved.place_of(AGGREGATOR)
    wrong = (moves.step != saved.steps - 1) | (not shares)
    wrong |= (np.maximum(moves.payer, moves.payee) != aggregator) | (
        np.minimum(moves.payer, moves.payee) >= n
    )
    words = "{} nano-euro before the last step, between other parties, or without the mechanism"
    findings.rows(wrong, "bill_sharing due", moves.name_step, words, moves.nanoeur)
    if not shares:
        return
    paid_in, paid_out = np.zeros(n, np.int64), np.zeros(n, np.int64)
    sound = moves.where(~wrong)
    np.add.at(paid_in, sound.payer[sound.payer < n], sound.nanoeur[sound.payer < n])
    np.add.at(paid_out, sound.payee[sound.payee < n], sound.nanoeur[sound.payee < n])
    owed, words = shared_bills(saved), "member pays {} and gets {} nano-euro, owes {}"
    wrong = (paid_in != np.maximum(owed, 0)) | (paid_out != np.maximum(-owed, 0))
    first = (saved.steps - 1) * n  # row of the last step
    row_name, columns = lambda i: saved.row_name(first + i), (paid_in, paid_out, owed)
    findings.rows(wrong, "bill_sharing due", row_name, words, *columns)


def shared_bills(saved: Saved) -> IntArray:
    """What each member (N) owes beside what it has paid to the utility, negative where it gets money."""
    e, n = saved.energy, len(saved.members)
    owed = np.zeros(n, np.int64)
    for sign, p2p, grid, price in (
        (1, "p2p_bought_wh", "grid_import_wh", GRID_PRICE["utility_import"]),
        (-1, "p2p_sold_wh", "grid_export_wh", GRID_PRICE["utility_export"]),
    ):
        each = e[grid] * np.repeat(saved.community[price], n)
        settled = each.reshape(saved.steps, n).sum(axis=0)
        energy = (e[p2p] + e[grid]).reshape(saved.steps, n).sum(axis=0)
        owed += sign * (in_proportion(int(settled.sum()), energy.tolist()) - settled)
    return owed


def in_proportion(total: int, weights: list[int]) -> IntArray:
    """`total` in whole parts: up to each member, the part reached is rounded down."""
    whole, reached, parts = sum(weights), 0, [0]
    for weight in weights:
        reached += weight
        parts.append(reached * total // whole if whole else 0)
    return np.asarray(np.diff(np.array(parts)), np.int64)
