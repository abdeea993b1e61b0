"""python main.py verify and proof: what anybody can check without trusting the program."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import output_file
import verification
from errors import InputError
from guard import EXIT_WRONG, Parser, demand_output
from terminal import many, progress
from verification import proof

TIP_OF_THE_DEFAULT_DAY = "0000dc34efc0207dea0c60b62a0d34d97dbef9227b7e7809911bf9ca9ef750b1"
"""So that the examples can be copied as they are; the README prints it too."""


def verify_command(arguments: list[str]) -> int:
    """Checks a saved folder; prints what is broken."""
    parser = Parser(
        prog="python main.py verify",
        description="Check a results folder from its files alone: energy, money, trades, chain.",
        epilog="examples: python main.py verify results\n"
        f"  python main.py verify results --tip {TIP_OF_THE_DEFAULT_DAY}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("results"),
        metavar="DIR",
        help="results folder, ./results if left out",
    )
    parser.add_argument(
        "--tip", metavar="HASH", help="demand that the chain ends with this block hash"
    )
    parser.add_argument(
        "--race",
        action="store_true",
        help="mine a long chain again too, to show that each winner was first",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but findings")
    options = parser.parse_args(arguments)
    tip = _demanded_tip(options.tip)

    try:
        with progress(options.quiet) as advance:
            outcome = verification.verify(
                options.folder,
                tip=tip,
                race=options.race,
                progress=_of_a_hundred(advance),
            )
    except verification.Unreadable as error:
        raise InputError(list(error.problems)) from None
    except MemoryError:
        told = "not enough memory to read it; is every file what it should be?"
        raise InputError([f"{options.folder}: {told}"]) from None
    for finding in outcome.findings:
        print(f"BROKEN {finding.where}: {finding.rule}: {finding.detail}")
    if not options.quiet:
        if outcome.ok:
            demand_output()
        print(outcome.summary())
    return 0 if outcome.ok else EXIT_WRONG


def proof_command(arguments: list[str]) -> int:
    """Prints the proof of one trade, or checks one: exit code 0, or 1 with the step that failed.

    A proof is checked before it is printed: what a chain does not prove is no proof of ours.
    """
    parser = Parser(
        prog="python main.py proof",
        description="Show that one trade is on the chain, or check such a proof without the chain.",
        epilog="examples: python main.py proof results 17 -o trade_17.json\n"
        f"  python main.py proof --check trade_17.json --tip {TIP_OF_THE_DEFAULT_DAY}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("folder", type=Path, nargs="?", metavar="DIR", help="results folder")
    add("trade", type=_trade_id, nargs="?", metavar="TRADE_ID", help="a trade_id of all_trades.csv")
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
    tip = _demanded_tip(options.tip)
    if options.check is None and (options.folder is None or options.trade is None):
        raise InputError(["proof: needs a folder and a trade id, or --check FILE"])
    if options.check is not None and (options.folder is not None or options.output is not None):
        raise InputError(["proof: --check FILE takes no folder, no trade id and no --output"])
    try:
        with progress(quiet=False) as advance:
            tell = _of_a_hundred(advance)
            if options.check is not None:
                shown = proof.check_proof(options.check, tip, tell)
            else:
                made = proof.make_proof(options.folder, options.trade, tip, tell)
    except proof.Refuted as error:
        told = f"REFUTED at {error.step}: {error.detail}"
        # where a proof was to be printed, in its place nothing stands
        print(told, file=sys.stdout if options.check else sys.stderr)
        return EXIT_WRONG
    except verification.Unreadable as error:
        raise InputError(list(error.problems)) from None
    if options.check is not None:
        _tell(shown, tip)
    else:
        _write(made, options.output)
    return 0


def _of_a_hundred(advance: Callable[[str, int, int], None]) -> Callable[[str, float], None]:
    """Moves a progress bar by shares."""
    return lambda phase, share: advance(phase, round(share * 100), 100)


def _demanded_tip(text: str | None) -> str | None:
    """The block hash that --tip asks for, without the blanks and capitals of a copied one."""
    if text is None:
        return None
    tip = text.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", tip):
        raise InputError([f"--tip {ascii(text[:100])}: should be a block hash, 64 hex digits"])
    return tip


def _trade_id(text: str) -> int:
    """A trade_id as the files write it; int() alone takes 1_0 for 10, and digits of other scripts."""
    if not re.fullmatch("[0-9]{1,100}", text):
        raise argparse.ArgumentTypeError(f"{ascii(text[:100])} is no trade_id, a number from 0 on")
    return int(text)


def _write(made: dict[str, Any], output: Path | None) -> None:
    """A proof into a file, or onto the terminal."""
    text = json.dumps(made, indent=1) + "\n"
    if output is None:
        demand_output()
        print(text, end="")
        return
    output_file.replace(output, text, '{\n "format": "proof of a trade', "a proof")


def _tell(shown: dict[str, Any], tip: str | None) -> None:
    """What a proof has shown."""
    demand_output()
    record = shown["record"]
    print(
        f"trade {record['trade_id']}: {record['seller_id']} sold {record['energy_wh'] / 1000:.3f} kWh to "
        f"{record['buyer_id']} at {record['price_microeur_per_kwh'] / 1e6:.6f} EUR/kWh in step {record['timestep']}"
    )
    print(
        f"stands in block {shown['height']}, {many(shown['headers'], 'header')} up to the tip {shown['tip']}"
    )
    if shown["hashes"]:
        print(f"work behind these headers: about {shown['hashes']:,} hashes")
    else:
        print("sealed by stake: no work stands behind these headers")
    if tip is None:
        print("compare this tip with one you noted down, or ask with --tip", file=sys.stderr)
