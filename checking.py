"""python main.py verify and proof: what anybody can check without trusting the program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from guard import EXIT_WRONG, Parser
from settings import InputError
from terminal import progress


def verify_command(arguments: list[str]) -> int:
    """Checks a saved folder; prints what is broken."""
    parser = Parser(
        prog="python main.py verify",
        description="Check a results folder from its files alone: energy, money, trades, chain.",
        epilog="example: python main.py verify results --tip 000a439d...",
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results"), metavar="DIR")
    parser.add_argument(
        "--tip", metavar="HASH", help="demand that the chain ends with this block hash"
    )
    parser.add_argument(
        "--race", action="store_true", help="mine again to show that each winner was first"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but findings")
    options = parser.parse_args(arguments)
    import verification

    try:
        with progress(options.quiet) as advance:
            outcome = verification.verify(
                options.folder,
                tip=options.tip,
                race=options.race,
                progress=lambda what, share: advance(what, round(share * 100), 100),
            )
    except verification.Unreadable as error:
        raise InputError(list(error.problems)) from None
    for finding in outcome.findings:
        print(f"BROKEN {finding.where}: {finding.rule}: {finding.detail}")
    if not options.quiet:
        print(outcome.summary())
    return 0 if outcome.ok else EXIT_WRONG


def proof_command(arguments: list[str]) -> int:
    """Prints the proof of one trade, or checks one: exit code 0, or 1 with the step that failed."""
    parser = Parser(
        prog="python main.py proof",
        description="Show that one trade is on the chain, or check such a proof without the chain.",
        epilog="examples: python main.py proof results 17 > trade_17.json; "
        "python main.py proof --check trade_17.json --tip 000ef041...",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", type=Path, nargs="?", metavar="DIR", help="results folder")
    add("trade", type=int, nargs="?", metavar="TRADE_ID", help="a trade_id of all_trades.csv")
    add("--check", type=Path, metavar="FILE", help="check this proof")
    add("--tip", metavar="HASH", help="demand that the proof ends with this block hash")
    add(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write the proof there, not to the terminal",
    )
    options = parser.parse_args(arguments)
    from verification import Unreadable, proof

    try:
        if options.check is not None:
            return _check(options.check, options.tip)
        if options.folder is None or options.trade is None:
            raise InputError(["proof: needs a folder and a trade id, or --check FILE"])
        made = json.dumps(proof.make_proof(options.folder, options.trade), indent=1) + "\n"
    except Unreadable as error:
        raise InputError(list(error.problems)) from None
    if options.output is None:
        print(made, end="")
        return 0
    try:
        options.output.write_text(made, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError([f"--output {options.output}: {error.strerror or error}"]) from None
    return 0


def _check(path: Path, tip: str | None) -> int:
    from verification import proof

    try:
        shown = proof.check_proof(path, tip)
    except proof.Refuted as error:
        print(f"REFUTED at {error.step}: {error.detail}")
        return EXIT_WRONG
    record = shown["record"]
    print(
        f"trade {record['trade_id']}: {record['seller_id']} sold {record['energy_wh'] / 1000:.3f} kWh to "
        f"{record['buyer_id']} at {record['price_microeur_per_kwh'] / 1e6:.6f} EUR/kWh in step {record['timestep']}"
    )
    print(
        f"stands in block {shown['height']}, {shown['headers']} headers up to the tip {shown['tip']}"
    )
    if tip is None:
        print("compare this tip with one you noted down, or ask with --tip", file=sys.stderr)
    return 0
