"""Sun, demand and prices of every step, drawn before the loop: every policy meets the same day.

Noise is drawn per hour, from a stream of that hour, and held within the hour. So 15-minute steps see
the day that hourly steps see, a longer run begins with the same hours, and more members leave the
first ones as they were. Equations: docs/models.md, "Day, sun, demand, price".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from records import Fleet, Price, Prices, Profiles, Real, Wh
from settings import Settings, microeur

SUNRISE, DAYLIGHT_HOURS = 6.0, 12.0


@dataclass(frozen=True)
class Clock:
    """When each step begins (T): as a time of day in hours, and as the number of its hour in the run."""

    time_of_day: Real
    hour_index: NDArray[np.int64]

    @property
    def hour(self) -> NDArray[np.int64]:
        return self.time_of_day.astype(np.int64)


def make_clock(settings: Settings, steps: int, start_seconds: int = 0) -> Clock:
    """The clock of a run that begins `start_seconds` after midnight."""
    seconds = start_seconds + settings.step_seconds * np.arange(steps, dtype=np.int64)
    return Clock(seconds % 86_400 / 3600, seconds // 3600 - start_seconds // 3600)


def make_profiles(settings: Settings, fleet: Fleet) -> Profiles:
    """The synthetic days: PV and load (T, N) in whole Wh, prices (T)."""
    clock = make_clock(settings, settings.TIME_STEPS)
    return Profiles(
        pv_wh=pv_generation(settings, fleet, clock),
        load_wh=demand(settings, fleet, clock),
        prices=market_prices(settings, clock),
        hour=clock.hour,
    )


def pv_generation(settings: Settings, fleet: Fleet, clock: Clock) -> Wh:
    """PV of each roof (T, N): clear-sky half sine of its orientation, times losses, clouds and roof."""
    shift = settings.stream("orientation").integers(-1, 2, fleet.size)
    clear = np.stack(
        [clear_sky_hours(settings, clock, side * settings.ORIENTATION_SHIFT) for side in (-1, 0, 1)]
    )
    scale = fleet.pv_capacity_kw * 1000 * settings.PV_SYSTEM_EFFICIENCY * settings.SEASON_FACTOR
    sky, roofs = clouds(settings, clock), settings.ROOF_VARIATION
    pv = np.empty((len(clock.hour_index), fleet.size), np.int64)
    for t, own in enumerate(noise_by_step(settings, "roof", clock, roofs, fleet.size)):
        pv[t] = np.rint(scale * clear[shift + 1, t] * sky[t] * own)
    return pv


def clear_sky_hours(settings: Settings, clock: Clock, shift_hours: float) -> Real:
    """Hours of full power in each step (T): the integral of sin(pi (h - 6) / 12) between 6 and 18 h."""
    sunrise = clock.time_of_day - shift_hours - SUNRISE
    turn, hours = math.pi / DAYLIGHT_HOURS, np.zeros(len(sunrise))
    for begin in (sunrise, sunrise - 24):  # a step may reach past midnight, into the next morning
        a = np.clip(begin, 0, DAYLIGHT_HOURS)
        b = np.clip(begin + settings.step_hours, 0, DAYLIGHT_HOURS)
        hours += (np.cos(turn * a) - np.cos(turn * b)) / turn
    return hours


def clouds(settings: Settings, clock: Clock) -> Real:
    """What the community's clouds let through in each step (T): U(minimum, 1), persistent by the hour.

    A Gaussian walk with the wished correlation, mapped through its distribution function, is uniform.
    """
    rho, low = settings.CLOUD_PERSISTENCE, settings.CLOUD_MIN_TRANSMISSION
    through, walk, share = np.empty(len(clock.hour_index)), 0.0, 0.0
    for t, (hour, first) in enumerate(_hours(clock)):
        if first:
            shock = settings.stream("clouds", hour).standard_normal()
            walk = shock if hour == 0 else rho * walk + math.sqrt(1 - rho * rho) * shock
            share = 0.5 * (1 + math.erf(walk / math.sqrt(2)))
        through[t] = low + (1 - low) * share
    return through


def demand(settings: Settings, fleet: Fleet, clock: Clock) -> Wh:
    """Load of each home (T, N): base load times the day's pattern, each home with noise of its own."""
    pattern, least = np.array(settings.LOAD_PATTERN)[clock.hour], settings.MIN_LOAD
    load = np.empty((len(clock.hour_index), fleet.size), np.int64)
    noise = noise_by_step(settings, "demand", clock, settings.LOAD_VARIATION, fleet.size)
    for t, own in enumerate(noise):
        power_kw = np.maximum(fleet.base_load_kwh * pattern[t] * own, least)
        load[t] = np.rint(power_kw * settings.step_hours * 1000)
    return load


def market_prices(settings: Settings, clock: Clock) -> Prices:
    """Prices of each step: the day's pattern with noise, the fee around it, the utility outside it.

    The fee never makes the aggregator dearer than the utility, so it is cut at retail and feed-in price.
    """
    later = settings.steps_of(24)
    start = round(clock.time_of_day[0] * 3600)
    longer = make_clock(settings, len(clock.hour_index) + later, start)
    pattern = np.array(settings.PRICE_PATTERN)[longer.hour]
    noise = hourly_noise(settings, "price", longer, settings.PRICE_VARIATION)
    market = np.rint(settings.BASE_PRICE * 1e6 * pattern * noise).astype(np.int64)
    error = hourly_noise(settings, "forecast", longer, settings.FORECAST_ERROR)
    forecast = np.rint(market * error).astype(np.int64)

    fee, retail = microeur(settings.LOCAL_MARKET_FEE), microeur(settings.RETAIL_PRICE)
    feed_in = microeur(settings.FEED_IN_PRICE)
    steps = len(clock.hour_index)
    now, seen = market[:steps], forecast[:steps]
    return Prices(
        market=now,
        wholesale_buy=now,
        wholesale_sell=now,
        market_buy=np.minimum(now + fee, retail),
        market_sell=np.maximum(now - fee, feed_in),
        grid_import=np.full(steps, retail),
        grid_export=np.full(steps, feed_in),
        forecast=seen,
        expected_buy=np.clip(seen + fee, feed_in, retail),
        expected_sell=np.clip(seen - fee, feed_in, retail),
        mean_24h=mean_ahead(forecast, later)[:steps],
    )


def given_prices(settings: Settings, clock: Clock, buy: Price, sell: Price) -> Prices:
    """Prices of a price file (T): one import and one export price towards everything outside, no fee.

    Members know this step's tariff; what they expect of later hours errs.
    """
    later = settings.steps_of(24)
    error = hourly_noise(settings, "forecast", clock, settings.FORECAST_ERROR)
    market = (buy + sell) // 2
    forecast = np.rint(market * error).astype(np.int64)
    last_day = np.resize(forecast[-later:], later)
    return Prices(
        market=market,
        wholesale_buy=buy,
        wholesale_sell=sell,
        market_buy=buy,
        market_sell=sell,
        grid_import=buy,
        grid_export=sell,
        forecast=forecast,
        expected_buy=buy,
        expected_sell=sell,
        mean_24h=mean_ahead(np.concatenate([forecast, last_day]), later)[: len(buy)],
    )


def hourly_noise(settings: Settings, purpose: str, clock: Clock, width: float) -> Real:
    """A factor U(1 - width, 1 + width) for each step (T), drawn per hour."""
    return np.array([*noise_by_step(settings, purpose, clock, width)])


def noise_by_step(
    settings: Settings, purpose: str, clock: Clock, width: float, size: int | None = None
) -> Iterator[Any]:
    """The same for one step after the other, or `size` factors for each; drawn per hour, held within it."""
    for hour, first in _hours(clock):
        if first:
            factor = 1 + width * settings.stream(purpose, hour).uniform(-1, 1, size)
        yield factor


def mean_ahead(forecast: Price, window: int) -> Price:
    """Mean of `window` values from each step on (T - window + 1), whole micro-euro, rounded down."""
    sums = np.concatenate([[0], np.cumsum(forecast)])
    return (sums[window:] - sums[:-window]) // window


def _hours(clock: Clock) -> list[tuple[int, bool]]:
    """(number of the hour, whether it begins here) for each step."""
    hours = clock.hour_index.tolist()
    return [(hour, t == 0 or hour != hours[t - 1]) for t, hour in enumerate(hours)]
