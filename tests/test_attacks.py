"""Each attack on a saved folder is found and named: the rule that is broken, and where."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from day_by_hand import (
    AGGREGATOR,
    MINT,
    REGULATOR,
    UTILITY,
    Folder,
    Row,
    checker_says,
    decimal,
    has,
    number,
    sha,
    told,
    told_by,
)

import main
from verification import chain, verify

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


@attack("amount", "block 3, trade 4")
def energy_changed_in_all_trades(run: Folder) -> None:
    run.trades[4]["energy_wh"] += 1


@attack("chain against trades", "block 3, trade 4")
def price_changed_in_all_trades(run: Folder) -> None:
    run.trades[4]["price_microeur_per_kwh"] += 1
    run.trades[4]["amount_nanoeur"] += 500


@attack("tx_id", "block 3, trade 4")
def price_changed_on_the_chain(run: Folder) -> None:
    transactions(run, 3)[0]["price_microeur_per_kwh"] += 1


@attack("price limit", "block 3, trade 4")
def price_above_the_limit_of_the_buyer_with_everything_else_consistent(run: Folder) -> None:
    run.trades[4] |= {"price_microeur_per_kwh": 121_001, "amount_nanoeur": 500 * 121_001}
    run.derive()


@attack("negative price", "block 3, trade 4")
def seller_pays_its_buyer_with_everything_else_consistent(run: Folder) -> None:
    run.trades[4] |= {"price_microeur_per_kwh": -1, "amount_nanoeur": -500}
    transactions(run, 3)[0]["price_microeur_per_kwh"] = -1


@attack("negative price", "step 1", checker=False)
def market_price_below_zero(run: Folder) -> None:
    run.community[1]["market_sell_price_microeur_per_kwh"] = -1


@attack("market price", "block 2, trade 2")
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


@attack("unknown party", "block 1, trade 1")
def unknown_member_trades(run: Folder) -> None:
    run.trades[1]["buyer_id"] = 3
    run.derive()


@attack("parties", "block 1, trade 1")
def member_trades_with_itself(run: Folder) -> None:
    run.trades[1]["buyer_id"] = 0
    run.derive()


@attack("empty trade", "block 2, trade 3")
def negative_energy_in_a_trade(run: Folder) -> None:
    run.trades[3] |= {"energy_wh": -300, "amount_nanoeur": -300 * 120_000}
    run.derive()


@attack("empty trade", "block 5, trade 7")
def trade_of_nothing_added_to_fill_a_block(run: Folder) -> None:
    run.trades.append(run.trades[6] | {"trade_id": 7, "energy_wh": 0, "amount_nanoeur": 0})
    run.derive()


@attack("negative amount", "transfers.csv line 2")
def negative_amount_of_a_transfer(run: Folder) -> None:
    run.transfers[0]["amount_nanoeur"] *= -1
    run.settle()


@attack("trade once", "block 1, trade 1")
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


@attack("trade once", "block 1, trade 0")
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


@attack("block step", "block 3, trade 5")
def trade_sealed_a_step_early(run: Folder) -> None:
    transactions(run, 3).append(transactions(run, 4).pop(0))
    run.seal_again()
    run.trades[5]["block_height"] = 3


@attack("trades and flows", "step 0, member 2")
def trade_moved_to_another_step_everywhere_but_in_the_meters(run: Folder) -> None:
    run.trades[2] |= {"timestep": 1, "hour": 1}
    run.trades[2], run.trades[3] = run.trades[3] | {"trade_id": 2}, run.trades[2] | {"trade_id": 3}
    run.derive()


@attack("trade ids", "block 2, trade 3")
def number_of_a_trade_left_out(run: Folder) -> None:
    for trade in run.trades[3:]:
        trade["trade_id"] += 1
    run.derive()


@attack("block height", "block 1, trade 3")
def trade_told_to_stand_in_another_block(run: Folder) -> None:
    run.trades[3]["block_height"] = 1


def packed(run: Folder, *blocks: tuple[int, list[int]]) -> None:
    """Mines the day anew in blocks of a step and these trades each, rewards and accounts with them."""
    run.mine()
    del run.chain["blocks"][1:]
    for t, ids in blocks:
        for n in ids:
            run.trades[n]["block_height"] = len(run.chain["blocks"])
        run.append(t, [run.transaction(run.trades[n]) for n in ids])
    run.pay()
    run.settle()
    run.sum_up()


@attack("block fill", "block 2", checker=False)
def trade_moved_so_that_a_block_is_not_filled(run: Folder) -> None:
    packed(run, (0, [0, 1]), (0, [2]), (0, [3]), (1, [4]), (2, [5, 6]))


@attack("block size", "block 1")
def trades_of_a_step_in_one_block_to_save_the_work_of_another(run: Folder) -> None:
    packed(run, (0, [0, 1, 2, 3]), (1, [4]), (2, [5, 6]))


@attack("block size", "block 5")
def block_without_trades_for_its_reward(run: Folder) -> None:
    packed(run, (0, [0, 1]), (0, [2, 3]), (1, [4]), (2, [5, 6]), (2, []))


@attack("banned member", "block 4, trade 6")
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


@attack("trade once", "block 4, trade 5")
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


@attack("trade once", "block 1, trade 0")
def chain_of_the_genesis_alone(run: Folder) -> None:
    del run.chain["blocks"][1:]


@attack("genesis", "block 0")
def forged_genesis_for_another_scenario(run: Folder) -> None:
    run.params["SEED"] = 8
    run.mine()
    run.params["SEED"] = 7


@attack("genesis", "block 0")
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


@attack("p2p due", "step 0, member 2")
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


@attack("accounts", "member 2", checker=False)
def account_of_another_kind(run: Folder) -> None:
    run.accounts[2]["kind"] = "prosumer"


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


@attack("blocks.csv", "blocks.csv")
def blocks_csv_lacks_the_last_block(run: Folder) -> None:
    run.blocks = run.block_rows()[:-1]


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


@attack("battery bounds", "step 0, member 0", BATTERY_MAX_SOC=0.59)
def battery_is_charged_above_its_limit(run: Folder) -> None:
    """To 5.97 of 10 kWh."""


@attack("battery bounds", "step 1, member 0", BATTERY_MIN_SOC=0.57)
def battery_is_discharged_below_its_limit(run: Folder) -> None:
    """To 5.67 of 10 kWh."""


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


@attack("summary", "summary.json", checker=False)
def bans_counted_that_were_none(run: Folder) -> None:
    run.summary["banned_ever"] += 1


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


@attack("rows", "prosumer_energy.csv, step 1, member 0")
def rows_in_another_order(run: Folder) -> None:
    run.energy[3], run.energy[4] = run.energy[4], run.energy[3]


@attack("member ids", "member 1")
def member_with_the_number_of_another(run: Folder) -> None:
    run.members[1]["prosumer_id"] = 2


@attack("hour", "step 2", checker=False)
def hour_that_no_day_has_in_every_file(run: Folder) -> None:
    for row in (*run.energy, *run.trading, *run.actions, *run.community, *run.trades):
        row["hour"] += 22


@attack("rows", "block 4, trade 6")
def trade_in_a_step_after_the_last(run: Folder) -> None:
    run.trades[6]["timestep"] = 3


@attack("negative flow", "step 1", checker=False)
def surplus_below_zero(run: Folder) -> None:
    run.community[1]["surplus_wh"] = -1


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


@attack("prosumers.json", "member 1", checker=False)
def member_told_a_balance_of_a_digit_more(run: Folder) -> None:
    """As a text, which says each nano-euro."""
    run.members[1]["final_balance_eur"] = decimal(run.accounts[1]["balance_nanoeur"] + 1, 9)


@attack("prosumers.json", "member 0", checker=False)
def member_told_another_total(run: Folder) -> None:
    run.members[0]["pv_kwh"] = 5.501


@attack("kind", "step 0, member 2")
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


@attack("unknown party", "accounts.csv line 12", checker=False)
def account_of_nobody(run: Folder) -> None:
    run.accounts.append(
        {"account_id": 77, "kind": "prosumer", "opening_nanoeur": 0, "balance_nanoeur": 0}
    )


@attack("ban in force", "step 1, member 0", checker=False)
def member_called_banned_by_the_regulator_alone(run: Folder) -> None:
    run.actions[3]["is_banned"] = True


@attack("ban in force", "step 1, member 0")
def member_called_banned_among_the_orders_alone(run: Folder) -> None:
    run.trading[3]["is_banned"] = True


@attack("banned member", "step 2, member 2")
def banned_member_buys_by_its_meter_alone(run: Folder) -> None:
    run.at(2, 2)["p2p_bought_wh"] += 100
    run.at(2, 2)["grid_import_wh"] -= 100


@attack("parties", "transfers.csv line 2", checker=False)
def member_pays_itself(run: Folder) -> None:
    run.transfers.insert(0, {"timestep": 0, "payer_id": 0, "payee_id": 0,
                             "amount_nanoeur": 5, "reason": "a gift"})  # fmt: skip


@attack("rows", "transfers.csv line 2")
def payment_after_the_last_step(run: Folder) -> None:
    """Which no account holds, so that all balances are right."""
    run.transfers.insert(0, {"timestep": 3, "payer_id": UTILITY, "payee_id": 0,
                             "amount_nanoeur": 5, "reason": "a gift"})  # fmt: skip


@attack("market price", "step 1", checker=False)
def market_that_would_pay_more_than_it_takes(run: Folder) -> None:
    """In a step in which nobody went there."""
    run.community[1]["market_sell_price_microeur_per_kwh"] = 181_001


@attack("lever", "step 1", checker=False, REGULATOR_OBJECTIVE="maximize_p2p", RENEWABLE_BONUS=0)
def lever_that_scales_a_setting_of_nothing(run: Folder) -> None:
    """Whatever another program's objective multiplies, twice nothing is nothing."""
    assert run.community[1]["renewable_bonus_microeur_per_kwh"] > 0


@attack("genesis", "block 0")
def genesis_with_a_trade(run: Folder) -> None:
    run.chain["blocks"][0]["transactions"] = [transactions(run, 1)[0]]


@attack("hashes_tried", "block 2", checker=False, CONSENSUS="pos", VALIDATOR_STAKES=[5, 0, 7])
def work_told_of_a_block_sealed_by_stake(run: Folder) -> None:
    run.chain["blocks"][2]["hashes_tried"] = 5
    run.sum_up()


@attack("kind", "prosumers.json", checker=False)
def consumer_numbered_before_a_prosumer(run: Folder) -> None:
    run.members[1]["kind"], run.members[2]["kind"] = "consumer", "prosumer"


@attack("kind", "step 0, member 2", checker=False)
def storage_that_uses_energy(run: Folder) -> None:
    run.members[2]["kind"] = "storage"


@attack("trade order", "block 4, trade 6")
def trade_in_a_step_before_that_of_the_one_before(run: Folder) -> None:
    run.trades[6]["timestep"] = 1


@attack("rows", "prosumer_energy.csv, step 1, member 7")
def row_of_a_member_that_there_is_not(run: Folder) -> None:
    run.energy.append(run.at(1, 1) | {"prosumer_id": 7})


@attack("rows", "prosumer_trading.csv, step 3, member 2", checker=False)
def row_of_a_step_after_the_last(run: Folder) -> None:
    run.trading.append(run.trading[-1] | {"timestep": 3})


@attack("members", "prosumers.json")
def nobody_takes_part(run: Folder) -> None:
    run.extra_files["prosumers.json"] = b"[]"


@attack("market_penalty due", "step 1")
def penalty_that_goes_to_a_neighbour(run: Folder) -> None:
    run.transfer(1, 1, 0, 1_000_000, "market_penalty")
    run.settle()
    run.sum_up()


@attack("block_reward due", "transfers.csv", checker=False, NUM_MINERS=1)
def two_rewards_paid_as_one(run: Folder) -> None:
    """The only miner mined both blocks of the first step."""
    first, second = [x for x in run.transfers if x["reason"] == "block_reward"][:2]
    first["amount_nanoeur"] += second["amount_nanoeur"]
    run.transfers = [x for x in run.transfers if x is not second]


@attack("simulation_log", "step 1", checker=False)
def step_of_the_log_that_is_a_number(run: Folder) -> None:
    run.extra_files["simulation_log.json"] = b"[{}, 5, {}]"


@attack("rows", "community_summary.csv", TIME_STEPS=0)
def run_without_a_step(run: Folder) -> None:
    for name in ("prosumer_energy", "prosumer_trading", "regulator_actions", "community_summary"):
        rows = {"prosumer_energy": run.energy, "prosumer_trading": run.trading,
                "regulator_actions": run.actions, "community_summary": run.community}  # fmt: skip
        header = ",".join(told(rows[name][0]))
        run.extra_files[f"{name}.csv"] = (header + "\n").encode()


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


@pytest.mark.parametrize("name", ["timestep", "miner", "difficulty", "nonce", "hashes_tried"])
def test_a_genesis_with_a_number_of_its_own_is_forged_however_well_it_hashes(
    name: str, tmp_path: Path
) -> None:
    run = Folder()
    genesis = run.chain["blocks"][0]
    genesis[name] = 1
    genesis["block_hash"] = sha(run.header(genesis, genesis["miner"])).hex()
    run.seal_again()
    run.pay()
    run.settle()
    run.sum_up()
    report = verify(run.write(tmp_path))
    assert has(report, "genesis", "block 0"), told_by(report)


@pytest.mark.parametrize(("name", "value"), [("version", 2), ("difficulty", 0), ("miners", 4)])
def test_the_head_of_the_chain_says_what_the_settings_say(
    name: str, value: int, tmp_path: Path
) -> None:
    run = Folder()
    run.chain[name] = value
    assert set(verify(run.write(tmp_path)).totals) == {"chain settings"}


def test_a_tip_is_demanded_in_vain_where_there_is_no_ledger(tmp_path: Path) -> None:
    report = verify(Folder(CONSENSUS="none").write(tmp_path), tip="0" * 64)
    assert has(report, "tip", "chain")
    assert report.tip is None


# ------------------------------------------------------------------------------------------ race


@pytest.mark.parametrize("weights", [None, [3, 1, 2]], ids=["equal", "unequal"])
def test_the_race_tells_that_a_winner_was_not_the_first(
    weights: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short chain is mined again in any case; of a long one verify says that it was not, unless asked to."""
    run = Folder(MINER_HASH_POWER=weights)
    run.seal(run.chain["blocks"][2], skip=1)
    run.seal_again(3)
    run.pay()
    run.settle()
    run.sum_up()
    folder = run.write(tmp_path)
    assert [(f.where, f.rule) for f in verify(folder).findings] == [("block 2", "race")]
    if weights is None:  # with unequal power the independent checker does not mine again
        assert checker_says(folder) == 1
    monkeypatch.setattr(chain, "RACED_ANYWAY", 0)
    report = verify(folder)
    assert report.ok and report.summary().endswith("all right, the race not run again (--race)")
    report = verify(folder, race=True)
    assert [(f.where, f.rule) for f in report.findings] == [("block 2", "race")]


def test_the_command_mines_a_long_chain_again_on_race_and_says_so_where_it_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Folder()
    run.seal(run.chain["blocks"][2], skip=1)
    run.seal_again(3)
    run.pay()
    run.settle()
    run.sum_up()
    folder = str(run.write(tmp_path))
    monkeypatch.setattr(chain, "RACED_ANYWAY", 0)
    assert main.main(["verify", folder]) == 0
    assert capsys.readouterr().out.endswith("all right, the race not run again (--race)\n")
    assert main.main(["verify", folder, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main.main(["verify", folder, "--race", "--quiet"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("BROKEN block 2: race: ")


def test_a_chain_of_many_miners_is_not_mined_again_unasked() -> None:
    """At difficulty 0 each attempt wins, but a thousand miners begin each of a hundred races."""
    rules: Any = SimpleNamespace(difficulty=0, miners=1_000)
    blocks: Any = SimpleNamespace(blocks=[None] * 100)
    assert not chain.is_raced_anyway(blocks, rules)
    rules.miners = 10
    assert chain.is_raced_anyway(blocks, rules)


def test_the_race_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    verify(
        Folder().write(tmp_path), race=True, progress=lambda what, share: told.append((what, share))
    )
    assert {"reading", "chain", "race", "money", "totals"} <= {what for what, _ in told}
    assert all(0 <= share <= 1 for _, share in told)
    assert ("race", 1.0) in told
