"""python main.py: settings -> prepare -> simulate -> save -> figures."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import Any

import declarations
import results_folder
import simulator
import storage
from errors import InputError, gather
from guard import Parser, demand_output
from mining import Race, race_of_miners
from options import add_output_option, add_scenario_options, read_config, read_scenario, unit_hints
from settings import Settings
from terminal import print_summary, print_warnings, progress, work_ahead
from trading import MIDPOINT, Mechanism

OTHER_COMMANDS = ("verify", "proof", "clear", "compare")


def command(arguments: list[str]) -> int:
    """Simulates a community and leaves its results in a folder."""
    problems: list[str] = []
    options = run_parser().read(arguments, problems)
    if options.settings:
        demand_output()
        if len(arguments) > 1:
            raise InputError(
                [*problems, "--settings: prints what config.py holds, beside no other option"]
            )
        print(declarations.table(read_config()))
        return 0
    began = time.perf_counter()
    gather(problems, lambda: results_folder.refuse_unless_ours(options.output))
    scenario = read_scenario(options, read_config(), find_mechanism, problems)
    if not options.quiet:
        print_warnings(unit_hints(scenario, options))
    clock = Stopwatch(began)
    clock.lap("prepare")
    race = _find_race(scenario.settings, options.use_gpu, options.quiet)
    with progress(options.quiet) as advance, results_folder.replacing(options.output) as folder:
        total = scenario.profiles.steps
        result = simulator.run(
            scenario, lambda step: advance("simulating", step.timestep + 1, total), race
        )
        clock.lap("simulate")
        figures = storage.write(result, folder, partial(advance, "saving"))
        clock.lap("save")
        if not options.no_plots:
            advance("drawing", 0, len(results_folder.FIGURES))
            import plot_results  # takes a moment to load

            plot_results.plot_all(folder, progress=advance)
            clock.lap("figures")
        timing = clock.report(result.chain)
        storage.write_json(folder / "timing.json", timing)
    if not options.quiet:
        plots, tariff = not options.no_plots, "prices" in scenario.inputs
        print_summary(scenario.settings, figures, timing, options.output, plots, tariff)
    return 0


def run_parser() -> Parser:
    parser = Parser(
        prog="python main.py",
        description="Simulate a prosumer community: batteries, P2P trading, local market, regulator, ledger.",
        epilog="example: python main.py --set NUM_PROSUMERS=50 --seed 7 --output results/small\n"
        "other commands: " + ", ".join(f"python main.py {name} --help" for name in OTHER_COMMANDS),
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
    parser.add_argument(
        "--settings", action="store_true", help="print what can be set, and stop (docs/settings.md)"
    )
    return parser


def find_mechanism(name: str) -> Mechanism:
    """The rule that MARKET_MECHANISM names; the default needs no extension."""
    if name == MIDPOINT.name:
        return MIDPOINT
    from extensions.mechanisms import mechanism_called

    return mechanism_called(name)


def _find_race(settings: Settings, use_gpu: bool, quiet: bool) -> Race:
    """Who mines, with a line about it where the user asked or where it will take long."""
    race: Race = race_of_miners
    if use_gpu:
        line = f"nothing to mine: CONSENSUS = {settings.CONSENSUS}"
        if settings.CONSENSUS == "pow":
            from extensions.gpu_mining import find_race

            race, line = find_race()
        if not quiet:
            print(line, file=sys.stderr)
    if race is race_of_miners and not quiet and (told := work_ahead(settings)):
        print(told, file=sys.stderr)
    return race


class Stopwatch:
    """Seconds of each phase; for timing.json, never for what is simulated."""

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
