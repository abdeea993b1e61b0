"""The proof of one trade: true ones pass, everything else is refuted at a named step."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from verification import Unreadable, proof


@pytest.fixture(scope="module")
def made(default_day: Path) -> dict[str, Any]:
    """The proof of trade 17 of the default day."""
    return proof.make_proof(default_day, 17)


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
