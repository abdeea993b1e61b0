"""The command line: settings -> prepare -> simulate -> save -> figures.

python main.py                      the community day of config.py, into results/
python main.py verify results       check a saved folder, from its files alone
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import config
import simulator
import storage
from audit import LawBroken
from blockchain import Race
from options import add_output_option, add_scenario_options, read_scenario
from settings import InputError
from terminal import print_summary, progress
from trading import MIDPOINT, Mechanism

EXIT_WRONG, EXIT_INPUT, EXIT_STOPPED = 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 well, 1 something is wrong, 2 bad input, 130 stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _stop)
    command: Callable[[list[str]], int] = run_command
    rest = arguments
    if arguments and arguments[0] in COMMANDS:
        command, rest = COMMANDS[arguments[0]], arguments[1:]
    try:
        return command(rest)
    except InputError as error:
        count = len(error.problems)
        print(f"error: {count} problem{'s' if count > 1 else ''} in the input", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return EXIT_INPUT
    except LawBroken as error:
        print(f"error: a law of the simulation broke, nothing was saved: {error}", file=sys.stderr)
        return EXIT_WRONG
    except KeyboardInterrupt:
        print("\nstopped; earlier results are as they were", file=sys.stderr)
        return EXIT_STOPPED
    except MemoryError:
        print(
            "error: not enough memory for a run of this size; fewer members or steps",
            file=sys.stderr,
        )
        return EXIT_INPUT
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        return EXIT_WRONG


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


# ---------------------------------------------------------------- python main.py


def run_command(arguments: list[str]) -> int:
    """Simulates a community and leaves its results in a folder."""
    options = run_parser().parse_args(arguments)
    began = time.perf_counter()
    scenario = read_scenario(options, config, find_mechanism)
    storage.refuse_unless_ours(options.output)
    clock = Stopwatch(began)
    clock.lap("prepare")
    race = _find_race() if options.use_gpu else None
    with progress(options.quiet) as advance, storage.replacing(options.output) as folder:
        total = scenario.profiles.steps
        result = simulator.run(
            scenario, lambda step: advance("simulating", step.timestep + 1, total), race
        )
        clock.lap("simulate")
        advance("saving", 0, 1)
        figures = storage.save(result, folder)
        advance("saving", 1, 1)
        clock.lap("save")
        if not options.no_plots:
            _draw(folder, advance)
            clock.lap("figures")
        timing = clock.report(result.chain)
        storage.write_json(folder / "timing.json", timing)
    if not options.quiet:
        print_summary(scenario.settings, figures, timing, options.output, not options.no_plots)
    return 0


def run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python main.py",
        description="Simulate a prosumer community: batteries, P2P trading, local market, regulator, ledger.",
        epilog="example: python main.py --set NUM_PROSUMERS=50 --seed 7 --output results/small\n"
        "other commands: "
        + ", ".join(f"python main.py {name} --help" for name in COMMANDS if name != "run"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_scenario_options(parser)
    add_output_option(parser)
    parser.add_argument("--no-plots", action="store_true", help="write the data files only")
    parser.add_argument(
        "--use-gpu", action="store_true", help="mine on a CUDA device where there is one"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def find_mechanism(name: str) -> Mechanism:
    """The rule that MARKET_MECHANISM names; the default needs no extension."""
    if name == MIDPOINT.name:
        return MIDPOINT
    from extensions.mechanisms import MECHANISMS

    return MECHANISMS[name]


def _find_race() -> Race:
    from extensions.gpu_mining import find_race

    race, line = find_race()
    print(line, file=sys.stderr)
    return race


def _draw(folder: Path, advance: Callable[[str, int, int], None]) -> None:
    import plot_results

    total, drawn = len(plot_results.FIGURES), 0

    def count(_: str) -> None:
        nonlocal drawn
        drawn += 1
        advance("drawing", drawn, total)

    plot_results.plot_all(folder, progress=count)


class Stopwatch:
    """Seconds of each phase; the only wall clock of the program, for timing.json alone."""

    def __init__(self, began: float):
        self.began = self.last = began
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase], self.last = now - self.last, now

    def report(self, chain: Any) -> dict[str, Any]:
        """The content of timing.json."""
        content: dict[str, Any] = {
            f"{phase}_seconds": round(s, 6) for phase, s in self.seconds.items()
        }
        content["total_seconds"] = round(time.perf_counter() - self.began, 6)
        if chain is not None:
            tried = sum(block.hashes_tried for block in chain.blocks)
            content["mining_seconds"] = round(chain.mining_seconds, 6)
            content["hashes_per_second"] = round(tried / chain.mining_seconds) if tried else 0
        content["peak_memory_mb"] = _peak_memory_mb()
        return content


def _peak_memory_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024), 1)


# ---------------------------------------------------------------- python main.py verify


def verify_command(arguments: list[str]) -> int:
    """Checks a saved folder; prints what is broken."""
    parser = argparse.ArgumentParser(
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
    import verify

    try:
        with progress(options.quiet) as advance:
            outcome = verify.verify(
                options.folder,
                tip=options.tip,
                race=options.race,
                progress=lambda what, share: advance(what, round(share * 100), 100),
            )
    except verify.Unreadable as error:
        raise InputError(list(error.problems)) from None
    for finding in outcome.findings:
        print(f"BROKEN {finding.where}: {finding.rule}: {finding.detail}")
    if not options.quiet:
        print(outcome.summary())
    return 0 if outcome.ok else EXIT_WRONG


def _extension(module: str) -> Callable[[list[str]], int]:
    """The `command` function of an extension, imported when it is called."""

    def command(arguments: list[str]) -> int:
        return int(importlib.import_module(f"extensions.{module}").command(arguments, config))

    return command


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": run_command,
    "verify": verify_command,
    "clear": _extension("clear_command"),
    "compare": _extension("compare_command"),
}


if __name__ == "__main__":
    sys.exit(main())
