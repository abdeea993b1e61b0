"""The proof of one trade: true ones pass, everything else is refuted at a named step."""

from __future__ import annotations

import copy
import csv
import json
import math
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from day_by_hand import Folder
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from verification import Unreadable, json_stream, proof


@pytest.fixture(scope="module")
def made(default_day: Path) -> dict[str, Any]:
    """The proof of trade 17 of the default day."""
    return proof.make_proof(default_day, 17)


def test_a_proof_tells_the_work_behind_it(
    made: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At difficulty 3 a header takes 16^3 hashes on average; who made a chain without work shows as much."""
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(made))
    assert main.main(["proof", "--check", str(path)]) == 0
    headers = len(made["headers"])
    assert (
        f"work behind these headers: about {headers * 4096:,} hashes\n" in capsys.readouterr().out
    )
    options = ["--set=CONSENSUS=pos", "--set=NUM_PROSUMERS=5", "--quiet", "--no-plots"]
    assert main.main([*options, "-o", str(tmp_path / "stake")]) == 0
    assert main.main(["proof", str(tmp_path / "stake"), "0", "-o", str(tmp_path / "s.json")]) == 0
    capsys.readouterr()
    assert main.main(["proof", "--check", str(tmp_path / "s.json")]) == 0
    assert "sealed by stake: no work stands behind these headers" in capsys.readouterr().out


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """check(content, tip) writes a proof to a file and checks it."""

    def run(content: dict[str, Any], tip: str | None = None) -> dict[str, Any]:
        path = tmp_path / "proof.json"
        path.write_text(json.dumps(content))
        return proof.check_proof(path, tip)

    return run


def chain_tip(folder: Path) -> str:
    return json.loads((folder / "summary.json").read_text())["chain_tip"]


def test_every_trade_of_a_block_has_a_proof_that_passes(default_day: Path, check: Callable) -> None:
    chain = json.loads((default_day / "blockchain.json").read_text())
    last = chain["blocks"][-1]["transactions"]
    for transaction in [*last, chain["blocks"][1]["transactions"][0]]:
        shown = check(
            proof.make_proof(default_day, transaction["trade_id"]), chain_tip(default_day)
        )
        assert shown["record"]["energy_wh"] == transaction["energy_wh"]


def test_a_proof_as_long_as_any_is_not_too_large_to_be_read(made: dict[str, Any]) -> None:
    """As many headers as it may have, every number at its longest, printed as the command prints them."""
    sizes = {"nonce": 2**64 - 1} | dict.fromkeys(proof.HEADER_NUMBERS, 2**32 - 1)
    assert set(made["headers"][0]) == {*sizes, *proof.HEADER_HASHES}
    one, two = (json.dumps({"headers": [made["headers"][0] | sizes] * n}, indent=1) for n in (1, 2))
    assert (len(two) - len(one)) * proof.MOST_HEADERS < proof.LARGEST_BYTES


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_a_path_leads_to_the_root_for_every_leaf_of_every_tree(case: tuple[int, int]) -> None:
    size, index = case
    records = [bytes([i]) * 37 for i in range(size)]
    leaves = [sha256(b"\x00" + record).digest() for record in records]
    path = proof.audit_path(leaves, index)
    assert proof.root_of_path(records[index], index, size, path) == proof.merkle_root(leaves).hex()
    assert proof.root_of_path(b"other", index, size, path) != proof.merkle_root(leaves).hex()
    assert proof.root_of_path(records[index], index, size, [*path, bytes(32)]) == ""


def test_one_block_may_hold_all_trades_though_they_are_longer_there_than_in_their_table(
    saved_run: Callable[..., Path], check: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved_run("--steps=1", "--set=MAX_TRANSACTIONS_PER_BLOCK=10000")
    assert len(json.loads((folder / "blockchain.json").read_text())["blocks"]) == 2
    sizes = [(folder / name).stat().st_size for name in ("blockchain.json", "all_trades.csv")]
    assert sizes[0] > 2 * sizes[1]
    monkeypatch.setattr(proof, "LARGEST_BLOCK", 0)
    monkeypatch.setattr(json_stream, "PIECE_BYTES", 64)
    assert check(proof.make_proof(folder, 0))["height"] == 1


def test_a_node_cannot_pass_for_a_leaf() -> None:
    """Second pre-image: the two halves of a tree as a record of 64 bytes hash differently (0x00, 0x01)."""
    leaves = [sha256(b"\x00" + bytes([i]) * 37).digest() for i in range(2)]
    root = proof.merkle_root(leaves).hex()
    assert proof.root_of_path(leaves[0] + leaves[1], 0, 1, []) != root


ATTACKS: dict[str, tuple[Callable[[dict], None], str]] = {
    "another energy": (lambda p: p["record"].update(energy_wh=1), "tx_id"),
    "another price": (lambda p: p["record"].update(price_microeur_per_kwh=1), "tx_id"),
    "another buyer": (lambda p: p["record"].update(buyer_id=99), "tx_id"),
    "another place": (lambda p: p.update(leaf=p["leaf"] + 1), "audit path"),
    "a place outside": (lambda p: p.update(leaf=10_000), "leaf"),
    "a shorter path": (lambda p: p["audit_path"].pop(), "audit path"),
    "another node": (lambda p: p["audit_path"].__setitem__(0, "ab" * 32), "audit path"),
    "another root": (lambda p: p["headers"][0].update(merkle_root="ab" * 32), "audit path"),
    "another nonce": (lambda p: p["headers"][0].update(nonce=0), "block hash"),
    "another miner": (lambda p: p["headers"][-1].update(miner=0, nonce=1), "block hash"),
    "a header left out": (lambda p: p["headers"].pop(1), "link"),
    "a header repeated": (lambda p: p["headers"].insert(1, p["headers"][1]), "link"),
    "headers exchanged": (lambda p: p["headers"].reverse(), "timestep"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_a_proof_fails_at_its_step(
    name: str, made: dict[str, Any], check: Callable
) -> None:
    change, step = ATTACKS[name]
    attacked = copy.deepcopy(made)
    change(attacked)
    with pytest.raises(proof.Refuted) as refuted:
        check(attacked)
    assert refuted.value.step == step


def sealed_header(before: dict[str, Any] | None, **numbers: int) -> dict[str, Any]:
    """A header that holds one trade, with the work that it says; the root is that of the trade."""
    header = {
        "version": 1,
        "height": 1,
        "timestep": 3,
        "miner": 0,
        "difficulty": 0,
        "transactions": 1,
    }
    header |= numbers
    previous = bytes.fromhex(before["block_hash"]) if before else bytes(32)
    start = proof.HEADER_START.pack(*header.values(), previous, bytes.fromhex(ROOT))
    hashes = (sha256(start + proof.NONCE.pack(nonce)).hexdigest() for nonce in range(2**20))
    nonce, found = next(
        (n, h) for n, h in enumerate(hashes) if h.startswith("0" * header["difficulty"])
    )
    told = {
        "previous_hash": previous.hex(),
        "merkle_root": ROOT,
        "nonce": nonce,
        "block_hash": found,
    }
    return header | told


RECORD = {"kind": 1, "timestep": 3, "trade_id": 0, "buyer_id": 4, "seller_id": 5,
          "energy_wh": 100, "price_microeur_per_kwh": 120_000}  # fmt: skip
PACKED = proof.RECORD.pack(*RECORD.values())
ROOT = sha256(b"\0" + PACKED).hexdigest()


@pytest.mark.parametrize(
    ("second", "step"),
    [
        ({}, None),
        ({"version": 2}, "version"),
        ({"difficulty": 1}, "difficulty"),
        ({"timestep": 2}, "timestep"),
        ({"height": 3}, "height"),
        ({"transactions": 0}, "transactions"),
    ],
)
def test_a_later_header_keeps_version_and_difficulty_has_trades_and_does_not_go_back(
    second: dict[str, int], step: str | None, check: Callable
) -> None:
    """Each header hashes and links as it should: what is wrong is only what it says beside the one before."""
    first = sealed_header(None)
    headers = [first, sealed_header(first, **{"height": 2} | second)]
    content = {"format": proof.FORMAT, "tx_id": sha256(PACKED).hexdigest(), "record": RECORD}
    content |= {"leaf": 0, "audit_path": [], "headers": headers}
    if step is None:
        assert check(content)["headers"] == 2
    else:
        with pytest.raises(proof.Refuted) as refuted:
            check(content)
        assert refuted.value.step == step


def test_the_command_tells_the_trade_that_the_proof_is_about(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "trade.json")
    assert main.main(["proof", str(default_day), "17", "-o", path]) == 0
    with open(default_day / "all_trades.csv", encoding="utf-8", newline="") as file:
        trade = list(csv.DictReader(file))[17]
    chain = json.loads((default_day / "blockchain.json").read_text())
    capsys.readouterr()
    assert main.main(["proof", "--check", path]) == 0
    out, err = capsys.readouterr()
    first, second, _ = out.splitlines()
    assert first == (
        f"trade 17: {trade['seller_id']} sold {trade['energy_kwh']} kWh to {trade['buyer_id']} "
        f"at {trade['price_eur_per_kwh']} EUR/kWh in step {trade['timestep']}"
    )
    headers = len(chain["blocks"]) - int(trade["block_height"])
    assert second == (
        f"stands in block {trade['block_height']}, {headers} headers up to the tip {chain_tip(default_day)}"
    )
    assert err == "compare this tip with one you noted down, or ask with --tip\n"


@pytest.mark.parametrize(
    ("change", "leads_to"),
    [
        (list.pop, "no root, the header says [0-9a-f]{64}"),
        (lambda path: path.append("ab" * 32), "no root, the header says [0-9a-f]{64}"),
        (lambda path: path.__setitem__(0, "ab" * 32), "[0-9a-f]{64}, the header says [0-9a-f]{64}"),
    ],
)
def test_a_path_of_another_length_than_the_tree_s_leads_to_no_root_at_all(
    change: Callable, leads_to: str, made: dict[str, Any], check: Callable
) -> None:
    attacked = copy.deepcopy(made)
    change(attacked["audit_path"])
    with pytest.raises(proof.Refuted, match=f"leads to {leads_to}"):
        check(attacked)


def test_the_record_of_another_trade_does_not_fit_the_path(
    default_day: Path, made: dict[str, Any], check: Callable
) -> None:
    other = proof.make_proof(default_day, 16)
    with pytest.raises(proof.Refuted, match="audit path"):
        check(made | {"record": other["record"], "tx_id": other["tx_id"]})


def test_a_header_without_its_work_is_refuted(made: dict[str, Any], check: Callable) -> None:
    """A forger who lowers the difficulty of one header in a consistent way still lacks the links."""
    forged = copy.deepcopy(made)
    header = forged["headers"][0]
    header["nonce"] += 1
    start = proof.HEADER_START.pack(
        *(header[name] for name in proof.HEADER_NUMBERS),
        bytes.fromhex(header["previous_hash"]),
        bytes.fromhex(header["merkle_root"]),
    )
    header["block_hash"] = sha256(start + proof.NONCE.pack(header["nonce"])).hexdigest()
    with pytest.raises(proof.Refuted, match="proof of work"):
        check(forged)


def test_a_cut_proof_passes_without_a_tip_and_fails_with_one(
    default_day: Path, made: dict[str, Any], check: Callable
) -> None:
    """Only the tip says that the chain goes on: this is why it should be noted down."""
    cut = made | {"headers": made["headers"][:1]}
    assert check(cut)["headers"] == 1
    with pytest.raises(proof.Refuted, match="tip"):
        check(cut, chain_tip(default_day))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": "proof of a trade, 1"}', '{"a": 1, "a": 2}', "[" * 100_000],
)
def test_a_file_that_is_no_proof_is_unreadable(content: str, tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(content)
    with pytest.raises(Unreadable):
        proof.check_proof(path)


@pytest.mark.parametrize("key", ["leaf", "tx_id", "record", "headers", "audit_path"])
@pytest.mark.parametrize("value", [None, True, -1, 2**70, "x", [], {}, [[1]]])
def test_wrong_types_are_told_never_a_traceback(
    key: str, value: Any, made: dict[str, Any], check: Callable
) -> None:
    with pytest.raises((Unreadable, proof.Refuted)):
        check(made | {key: value})


@pytest.mark.parametrize("name", proof.RECORD_KEYS)
@pytest.mark.parametrize("value", [2**64, -(2**64), True, 1.0, "1", None])
def test_a_record_holds_whole_numbers_that_fit_its_37_bytes(
    name: str, value: Any, made: dict[str, Any], check: Callable
) -> None:
    with pytest.raises(Unreadable, match="its record is not that of a trade"):
        check(made | {"record": made["record"] | {name: value}})


@pytest.mark.parametrize("value", [None, 7, "x", [], list(proof.HEADER_KEYS), {}])
@pytest.mark.parametrize("place", [0, -1])
def test_a_header_that_is_none_is_unreadable(
    place: int, value: Any, made: dict[str, Any], check: Callable
) -> None:
    attacked = copy.deepcopy(made)
    attacked["headers"][place] = value
    with pytest.raises(Unreadable, match="its headers are not"):
        check(attacked)


@pytest.mark.parametrize("name", sorted(proof.HEADER_KEYS))
def test_a_header_has_the_keys_of_one_and_no_other(
    name: str, made: dict[str, Any], check: Callable
) -> None:
    for change in (lambda header: header.pop(name), lambda header: header.update({name + "s": 1})):
        attacked = copy.deepcopy(made)
        change(attacked["headers"][1])
        with pytest.raises(Unreadable, match="its headers are not"):
            check(attacked)


def test_a_proof_with_more_headers_than_any_chain_is_neither_made_nor_read_further(
    default_day: Path, made: dict[str, Any], check: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "MOST_HEADERS", len(made["headers"]))
    assert check(made)["headers"] == len(made["headers"])
    monkeypatch.setattr(proof, "MOST_HEADERS", len(made["headers"]) - 1)
    with pytest.raises(Unreadable, match="more headers than the"):
        check(made)
    with pytest.raises(Unreadable, match=r"headers, a proof has at most"):
        proof.make_proof(default_day, 17)


def test_the_command_prints_a_proof_and_checks_it(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, tip = tmp_path / "trade.json", chain_tip(default_day)
    assert main.main(["proof", str(default_day), "17", "-o", str(path)]) == 0
    assert main.main(["proof", "--check", str(path), "--tip", tip]) == 0
    assert "trade 17" in capsys.readouterr().out
    assert main.main(["proof", "--check", str(path), "--tip", "ab" * 32]) == 1
    assert "REFUTED at tip" in capsys.readouterr().out
    assert main.main(["proof", str(default_day), "1000000"]) == 2
    assert main.main(["proof", "--check", str(tmp_path / "absent.json")]) == 2
    assert main.main(["proof", str(default_day)]) == 2


def test_an_empty_chain_reads_well_and_proves_nothing(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = json.loads((default_day / "blockchain.json").read_text()) | {"blocks": []}
    (tmp_path / "blockchain.json").write_text(json.dumps(head))
    assert main.main(["proof", str(tmp_path), "17"]) == 1
    assert capsys.readouterr() == ("", "REFUTED at chain: has no blocks\n")


@pytest.mark.parametrize("more", [["results"], ["results", "17"], ["--output", "proof.json"]])
def test_a_proof_is_checked_or_made_and_not_both(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["proof", *more, "--check", "trade.json"]) == 2
    told = "proof: --check FILE takes no folder, no trade id and no --output"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1_0", " 10", "+10", "\uff11\uff10", "\u0663", "10.0", "ten", ""])
def test_a_trade_id_is_written_as_the_files_write_it(
    text: str, default_day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """int() alone takes some of these for 10, or 3, and the proof would be one of a trade that nobody named."""
    assert main.main(["proof", str(default_day), text]) == 2
    assert f"{ascii(text)} is no trade_id" in capsys.readouterr().err


# ---------------------------------------------------------------- what a forger makes consistent


def forged(record: dict[str, int], header: dict[str, int]) -> dict[str, Any]:
    """A proof of one trade in one block whose hashes all fit, made without any work."""
    numbers = {"version": 1, "height": 1, "timestep": 3, "miner": 0, "difficulty": 0} | header
    numbers["transactions"] = 1
    told = {"kind": 1, "timestep": 3, "trade_id": 0, "buyer_id": 4, "seller_id": 5}
    told |= {"energy_wh": 100, "price_microeur_per_kwh": 120_000} | record
    packed = proof.RECORD.pack(*told.values())
    root, nonce = sha256(b"\0" + packed).digest(), numbers.pop("nonce", 0)
    start = proof.HEADER_START.pack(*numbers.values(), bytes(32), root)
    hashed = sha256(start + proof.NONCE.pack(nonce)).hexdigest()
    numbers |= {"previous_hash": "0" * 64, "merkle_root": root.hex(), "nonce": nonce}
    return {
        "format": proof.FORMAT, "tx_id": sha256(packed).hexdigest(), "record": told, "leaf": 0,
        "audit_path": [], "headers": [numbers | {"block_hash": hashed}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "header"),
    [({}, {}), ({}, {"version": 2}), ({"kind": 2, "buyer_id": -1}, {}), ({"kind": 2, "seller_id": -1}, {}),
     ({"price_microeur_per_kwh": 0}, {})],
)  # fmt: skip
def test_a_proof_of_what_can_be_passes(record: dict, header: dict, check: Callable) -> None:
    assert check(forged(record, header))["headers"] == 1


@pytest.mark.parametrize(
    ("record", "header", "step"),
    [({"kind": 0}, {}, "kind"), ({"kind": 3}, {}, "kind"), ({"energy_wh": 0}, {}, "energy"),
     ({"energy_wh": -100}, {}, "energy"), ({"price_microeur_per_kwh": -1}, {}, "price"),
     ({"buyer_id": 5}, {}, "parties"), ({"buyer_id": -2}, {}, "parties"),
     ({"buyer_id": -1}, {}, "parties"), ({"kind": 2}, {}, "parties"),
     ({"kind": 2, "buyer_id": -1, "seller_id": -1}, {}, "parties"),
     ({"kind": 2, "buyer_id": -2}, {}, "parties"), ({"kind": 2, "seller_id": -2}, {}, "parties"),
     ({}, {"height": 0}, "height"), ({}, {"version": 0}, "version"), ({}, {"version": 3}, "version"),
     ({}, {"difficulty": 64}, "proof of work"), ({}, {"version": 2, "difficulty": 1}, "stake"),
     ({}, {"version": 2, "nonce": 1}, "stake"), ({}, {"timestep": 4}, "timestep")],
)  # fmt: skip
def test_a_proof_of_what_cannot_be_is_refuted_though_its_hashes_fit(
    record: dict, header: dict, step: str, check: Callable
) -> None:
    with pytest.raises(proof.Refuted) as refuted:
        check(forged(record, header))
    assert refuted.value.step == step


@pytest.mark.parametrize("difficulty", [65, 2**32 - 1])
def test_more_zeros_than_a_hash_has_digits_are_refused(difficulty: int, check: Callable) -> None:
    """Four thousand million zeros as a text would take the memory of the reader."""
    with pytest.raises(Unreadable, match="headers"):
        check(forged({}, {"difficulty": difficulty}))


# ---------------------------------------------------------------- chains that prove nothing


@pytest.fixture
def told(default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable:
    """told(change) is what `proof DIR 17` says of a changed chain: exit code, output, error lines."""

    def run(change: Callable[[dict], Any], *more: str) -> tuple[int, str, list[str]]:
        chain = json.loads((default_day / "blockchain.json").read_text())
        change(chain)
        (tmp_path / "blockchain.json").write_text(json.dumps(chain))
        code = main.main(["proof", str(tmp_path), "17", *more])
        shown = capsys.readouterr()
        return code, shown.out, shown.err.splitlines()

    return run


def block_of(chain: dict) -> dict:
    """The block that holds trade 17."""
    return next(
        block for block in chain["blocks"] if 17 in [tx["trade_id"] for tx in block["transactions"]]
    )


def trade_of(chain: dict) -> dict:
    return next(tx for tx in block_of(chain)["transactions"] if tx["trade_id"] == 17)


WRONG: dict[str, tuple[Callable[[dict], Any], str]] = {
    "energy": (lambda c: trade_of(c).update(energy_wh=1), "tx_id"),
    "tx_id": (lambda c: trade_of(c).update(tx_id="ab" * 32), "tx_id"),
    "step": (lambda c: block_of(c).update(timestep=9), "timestep"),
    "energy of a neighbour": (
        lambda c: block_of(c)["transactions"][0].update(energy_wh=1), "audit path"
    ),
    "root": (lambda c: block_of(c).update(merkle_root="ab" * 32), "audit path"),
    "nonce": (lambda c: block_of(c).update(nonce=2**63), "block hash"),
    "height": (lambda c: c["blocks"][-1].update(height=7), "height"),
    "version": (lambda c: c.update(version=2), "block hash"),
    "two trades 17": (lambda c: c["blocks"][-1]["transactions"][-1].update(trade_id=17), "trade once"),
    "a block left out": (lambda c: c["blocks"].pop(-2), "link"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_chain_does_not_prove_is_not_printed(name: str, told: Callable) -> None:
    change, step = WRONG[name]
    code, out, err = told(change)
    assert (code, out) == (1, ""), "nothing stands where the proof would"
    assert len(err) == 1 and err[0].startswith(f"REFUTED at {step}: ")


def test_a_proof_is_printed_only_up_to_the_tip_that_is_asked_for(
    default_day: Path, told: Callable
) -> None:
    assert told(lambda chain: None, "--tip", chain_tip(default_day))[0] == 0
    assert told(lambda chain: None, "--tip", "ab" * 32)[2][0].startswith("REFUTED at tip")


@pytest.mark.parametrize(
    "name", ["energy_wh", "buyer_id", "trade_id", "kind", "price_microeur_per_kwh"]
)
@pytest.mark.parametrize(
    "value", ["abc", 1.5, 0.0, None, [], {}, True, 2**64, -(2**63) - 1, math.nan]
)
def test_a_transaction_that_is_none_is_one_problem(name: str, value: Any, told: Callable) -> None:
    """Any transaction of the block: its hash is needed for the path of the others."""
    others = lambda c: [tx for tx in block_of(c)["transactions"] if tx["trade_id"] != 17]  # noqa: E731
    code, out, problems = told(lambda c: others(c)[0].update({name: value}))
    assert (code, out) == (2, "")
    assert len(problems) == 2
    assert problems[1].startswith("  blockchain.json: ")


@pytest.mark.parametrize(
    "change",
    [lambda c: block_of(c).update(nonce=math.nan), lambda c: block_of(c).update(height="x"),
     lambda c: block_of(c).pop("timestep"), lambda c: block_of(c).update(merkle_root=5),
     lambda c: block_of(c).update(transactions={}), lambda c: c.update(blocks={}),
     lambda c: c.update(version=1.0), lambda c: c.update(version=2**32),
     lambda c: block_of(c).update(merkle_root="AB" * 32), lambda c: block_of(c).update(difficulty=2**32 - 1),
     lambda c: block_of(c).update(nonce=9 * 10**4299), lambda c: c["blocks"].append(None)],
)  # fmt: skip
def test_a_chain_that_is_none_is_one_problem(change: Callable, told: Callable) -> None:
    code, out, problems = told(change)
    assert (code, out, len(problems)) == (2, "", 2)


def test_a_key_that_stands_twice_is_refused(default_day: Path, tmp_path: Path) -> None:
    """Of two heights one would be hidden."""
    text = (default_day / "blockchain.json").read_text()
    (tmp_path / "blockchain.json").write_text(text.replace('"height"', '"height": 5, "height"', 1))
    with pytest.raises(Unreadable, match="stands twice"):
        proof.make_proof(tmp_path, 17)


def test_a_tip_is_read_alike_by_verify_and_proof(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, tip = tmp_path / "trade.json", chain_tip(default_day)
    assert main.main(["proof", str(default_day), "17", "-o", str(path)]) == 0
    commands = ["verify", str(default_day)], ["proof", "--check", str(path)]
    for command in commands:
        for text in (tip, f" {tip}\n", tip.upper()):
            assert main.main([*command, "--tip", text]) == 0
        assert main.main([*command, "--tip", "ab" * 32]) == 1
        capsys.readouterr()
        for text in ("", "000a", tip[:-1], tip + "0", "xy" * 32, "\u0663" * 64, "\ud800"):
            assert main.main([*command, "--tip", text]) == 2
            assert "should be a block hash, 64 hex digits" in capsys.readouterr().err


def test_a_proof_takes_only_the_place_of_a_proof(
    default_day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "README.md"
    path.write_text("years of work")
    assert main.main(["proof", str(default_day), "17", "-o", str(path)]) == 2
    told = f"--output {path}: is there already and is not a proof; name another file"
    assert told in capsys.readouterr().err
    assert path.read_text() == "years of work"
    path.unlink()
    for trade in ("17", "18"):
        assert main.main(["proof", str(default_day), trade, "-o", str(path)]) == 0
    assert main.main(["proof", "--check", str(path)]) == 0
    assert "trade 18" in capsys.readouterr().out


def test_the_share_that_is_read_is_told(default_day: Path) -> None:
    """A chain of ten thousand blocks takes two seconds; the bar moves with its bytes."""
    told: list[tuple[str, float]] = []
    proof.make_proof(default_day, 17, progress=lambda phase, share: told.append((phase, share)))
    assert told and {phase for phase, _ in told} == {"reading"}
    shares = [share for _, share in told]
    assert shares == sorted(shares) and 0 < shares[-1] <= 1


def test_a_run_without_ledger_has_nothing_to_prove(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(Folder(CONSENSUS="none").write(tmp_path))
    assert main.main(["proof", folder, "0"]) == 2
    assert "a run without ledger (CONSENSUS none) proves no trade" in capsys.readouterr().err
    assert main.main(["verify", folder, "--tip", "a" * 64]) == 1
    assert "chain: tip: there is no chain, expected" in capsys.readouterr().out
