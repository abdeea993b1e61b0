"""The second reading of accounts: balances from transfers, and the same amounts where they are told again."""

from __future__ import annotations

import numpy as np

from verification.findings import Findings, show
from verification.folder import AGGREGATOR, INSTITUTIONS, MINT, UTILITY, Saved
from verification.money import REASON, Moves, by_member
from verification.tables import UNKNOWN_WORD, WORDS
from verification.told import is_amount


def check_actions(saved: Saved, paid: Moves, findings: Findings) -> None:
    """regulator_actions.csv holds what was transferred."""
    bonuses = paid.where(
        (paid.reason == REASON["renewable_bonus"]) | (paid.reason == REASON["p2p_bonus"])
    )
    penalties = paid.of("market_penalty")
    for name, got in (
        ("bonus_nanoeur", by_member(saved, bonuses, bonuses.payee)),
        ("penalty_nanoeur", by_member(saved, penalties, penalties.payer)),
    ):
        findings.compare("regulator_actions", saved.row_name, name, saved.actions[name], got)


def check_accounts(saved: Saved, paid: Moves, findings: Findings) -> None:
    """One row for each account, balance = opening + received - paid, and nothing from nowhere."""
    table, n = saved.accounts, len(saved.members)
    place = saved.places(table["account_id"])
    change = np.zeros(saved.parties, np.int64)
    np.subtract.at(change, paid.payer, paid.nanoeur)
    np.add.at(change, paid.payee, paid.nanoeur)
    needed = np.zeros(saved.parties, np.bool_)  # without ledger, mint and miners may have none
    needed[: saved.parties if saved.chain else saved.place_of(MINT)] = True
    needed[paid.payer] = needed[paid.payee] = True
    rows = np.bincount(place[place >= 0], minlength=saved.parties)
    wrong = (rows > 1) | (needed & (rows == 0))
    findings.rows(wrong, "accounts", saved.party_name, "{} rows, expected 1", rows)
    kinds = [*(member.kind for member in saved.members), *INSTITUTIONS, "miner"]
    opening, balance = table["opening_nanoeur"].tolist(), table["balance_nanoeur"].tolist()
    for i, p in enumerate(place.tolist()):
        if p < 0:
            detail = f"nobody has account_id {table['account_id'][i]}"
            findings.add(f"accounts.csv line {i + 2}", "unknown party", detail)
            continue
        where, code = saved.party_name(p), int(table["kind"][i])
        kind = WORDS["kind"][code] if code != UNKNOWN_WORD else ""
        findings.differ(where, "accounts", "kind", kind, kinds[min(p, len(kinds) - 1)])
        # institutions of another program may bring money with them
        if p < n or saved.settings.ours:
            wallet = saved.settings.wallet_nanoeur if p < n else 0
            if wallet is not None:
                findings.differ(where, "opening", "opening in nano-euro", opening[i], wallet)
        due = opening[i] + int(change[p])
        findings.differ(where, "balance", "balance in nano-euro", balance[i], due)
        if p < n:
            check_told_balance(saved, p, balance[i], findings)
    nothing = sum(balance) - sum(opening)
    findings.differ("accounts.csv", "money law", "sum of all changes in nano-euro", nothing, 0)


def check_told_balance(saved: Saved, member: int, nanoeur: int, findings: Findings) -> None:
    """prosumers.json tells the same final balance, where it tells one."""
    for name in ("final_balance_eur", "balance_eur"):
        told = saved.members[member].told.get(name)
        if told is not None and not is_amount(told, nanoeur):
            detail = f"{name} is {show(told)}, accounts.csv says {nanoeur} nano-euro"
            findings.add(f"member {member}", "prosumers.json", detail)


def cash_to_outside(saved: Saved, paid: Moves) -> int:
    """What members pay to aggregator and utility minus what they get from them, in nano-euro."""
    n, outside = len(saved.members), [saved.place_of(AGGREGATOR), saved.place_of(UTILITY)]
    out = (paid.payer < n) & np.isin(paid.payee, outside)
    back = (paid.payee < n) & np.isin(paid.payer, outside)
    return int(paid.nanoeur[out].sum() - paid.nanoeur[back].sum())
