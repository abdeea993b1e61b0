"""Sun, demand and prices: physics that does not depend on the step length, noise that stays in its place."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from conftest import make_settings
from hypothesis import given
from worlds import explore, quick_settings

import data_generation
import prosumer
from records import Fleet, Profiles

QUARTER, FIVE_MINUTES = 0.25, 1 / 12
NO_NOISE = {"CLOUD_MIN_TRANSMISSION": 1.0, "ROOF_VARIATION": 0.0}


def world(**changes: Any) -> tuple[Fleet, Profiles]:
    """The members and profiles that these settings make."""
    settings = quick_settings(**changes)
    fleet = prosumer.make_fleet(settings)
    return fleet, data_generation.make_profiles(settings, fleet)


def ratio_to_clear_sky(days: int, members: int, **changes: Any) -> np.ndarray:
    """PV of the noon hours (days, N) of roofs that all face south, as a share of a cloudless sky's."""
    common = {"TIME_STEPS": 24 * days, "NUM_PROSUMERS": members, "ORIENTATION_SHIFT": 0.0} | changes
    _, cloudy = world(**common)
    _, clear = world(**common | NO_NOISE)
    return cloudy.pv_wh[12::24] / clear.pv_wh[12::24]


# ---------------------------------------------------------------- sun


def test_the_sun_does_not_shine_at_night() -> None:
    """From 6 to 18 h, shifted by an hour and a half at most; so nothing before 4:30 or after 19:30."""
    _, profiles = world(TIME_STEPS=96, TIME_STEP_DURATION=QUARTER)
    start = np.arange(96) / 4
    night = (start + QUARTER <= 4.5) | (start >= 19.5)
    assert not profiles.pv_wh[night].any()
    assert (profiles.pv_wh[start == 12.0] > 0).all()


def test_a_south_roof_shines_from_six_to_six_and_is_symmetric_about_noon() -> None:
    _, profiles = world(ORIENTATION_SHIFT=0.0, **NO_NOISE)
    assert not profiles.pv_wh[:6].any() and not profiles.pv_wh[18:].any()
    assert (profiles.pv_wh[6:18] > 0).all()
    assert np.array_equal(profiles.pv_wh[6:12], profiles.pv_wh[12:18][::-1])


def test_a_clear_day_brings_capacity_times_efficiency_times_24_over_pi() -> None:
    """The integral of sin(pi (h - 6) / 12) from 6 to 18 is 24 / pi hours of full power."""
    fleet, profiles = world(SEASON_FACTOR=0.5, **NO_NOISE)
    expected = fleet.pv_capacity_kw * 1000 * 0.88 * 0.5 * 24 / math.pi
    assert profiles.pv_wh.sum(axis=0) == pytest.approx(expected, abs=12 * 0.5)


@pytest.mark.parametrize("shift", [-1.5, 0.0, 1.5])
@pytest.mark.parametrize("hours", [1.0, QUARTER, FIVE_MINUTES])
def test_a_steps_pv_is_the_mean_over_the_step_not_its_first_moment(
    hours: float, shift: float
) -> None:
    """Against a fine sum of the sine: taking the value at the step's start loses the hour of sunrise."""
    settings = quick_settings(TIME_STEP_DURATION=hours)
    steps = round(24 / hours)
    clock = data_generation.make_clock(settings, steps)
    got = data_generation.clear_sky_hours(settings, clock, shift)
    fine = (np.arange(24 * 3600) + 0.5) / 3600 - shift
    power = np.where((fine > 6) & (fine < 18), np.sin(np.pi * (fine - 6) / 12), 0)
    expected = power.reshape(steps, -1).mean(axis=1) * hours
    assert got == pytest.approx(expected, abs=1e-7)


@given(st.integers(0, 2**32), st.sampled_from([(QUARTER, 4), (FIVE_MINUTES, 12)]))
@explore
def test_every_step_length_sees_the_same_day(seed: int, length: tuple[float, int]) -> None:
    """The steps of an hour add up to the hour, but for the rounding of each to whole Wh."""
    hours, per_hour = length
    common = {"SEED": seed, "NUM_PROSUMERS": 6}
    _, hourly = world(**common, TIME_STEPS=10)
    _, short = world(**common, TIME_STEPS=10 * per_hour, TIME_STEP_DURATION=hours)
    for name in ("pv_wh", "load_wh"):
        sums = getattr(short, name).reshape(10, per_hour, -1).sum(axis=1)
        off = np.abs(sums - getattr(hourly, name)).max()
        assert off <= 0.5 * (per_hour + 1), f"{name} differs by {off} Wh"
    for name in ("market", "forecast", "market_buy", "grid_import"):
        column = getattr(short.prices, name).reshape(10, per_hour)
        assert (column == getattr(hourly.prices, name)[:, None]).all()


def test_roofs_face_east_south_and_west_and_peak_in_that_order() -> None:
    """With a shift of an hour and a half the half sines peak at 10:30, 12:00 and 13:30."""
    fleet, profiles = world(NUM_PROSUMERS=60, TIME_STEPS=96, TIME_STEP_DURATION=QUARTER, **NO_NOISE)
    shape = profiles.pv_wh / fleet.pv_capacity_kw
    centre = (shape * (np.arange(96) / 4 + 0.125)[:, None]).sum(axis=0) / shape.sum(axis=0)
    peaks, count = np.unique(np.round(centre, 1), return_counts=True)
    assert peaks.tolist() == [10.5, 12.0, 13.5]
    assert count.min() >= 10


def test_orientation_moves_the_day_but_not_its_sum() -> None:
    _, turned = world(**NO_NOISE)
    _, south = world(ORIENTATION_SHIFT=0.0, **NO_NOISE)
    assert turned.pv_wh.sum(axis=0) == pytest.approx(south.pv_wh.sum(axis=0), abs=14)
    assert (turned.pv_wh != south.pv_wh).any()


def test_the_season_scales_the_sun_and_nothing_else() -> None:
    _, summer = world()
    _, winter = world(SEASON_FACTOR=0.3)
    assert winter.pv_wh == pytest.approx(0.3 * summer.pv_wh, abs=0.7)
    assert np.array_equal(winter.load_wh, summer.load_wh)


def test_clouds_let_through_between_the_minimum_and_everything() -> None:
    """Uniform between 0.5 and 1: mean 0.75, a quarter of the hours in each quarter of the range."""
    settings = quick_settings()
    clock = data_generation.make_clock(settings, 24 * 150)
    through = data_generation.clouds(settings, clock)
    assert 0.5 <= through.min() < 0.52 and 0.98 < through.max() <= 1
    assert through.mean() == pytest.approx(0.75, abs=0.015)
    share, _ = np.histogram(through, bins=4, range=(0.5, 1))
    assert share / len(through) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("persistence", [0.0, 0.7, 0.95])
def test_clouds_persist_from_one_hour_to_the_next(persistence: float) -> None:
    """The correlation of ranks of a Gaussian walk is 6/pi asin(rho/2): 0.68 where rho is 0.7."""
    settings = quick_settings(CLOUD_PERSISTENCE=persistence)
    through = data_generation.clouds(settings, data_generation.make_clock(settings, 24 * 150))
    expected = 6 / math.pi * math.asin(persistence / 2)
    assert np.corrcoef(through[1:], through[:-1])[0, 1] == pytest.approx(expected, abs=0.06)


def test_neighbours_share_their_clouds_but_not_their_demand() -> None:
    """What is left of PV after sun and of load after pattern: 0.93 alike for PV, nearly nothing for load."""
    sun = np.corrcoef(ratio_to_clear_sky(days=60, members=8).T)
    pairs = np.triu_indices(8, 1)
    assert 0.85 < sun[pairs].mean() < 0.99
    _, profiles = world(TIME_STEPS=24 * 60, NUM_PROSUMERS=8, MIN_LOAD=0.0)
    load = profiles.load_wh[19::24]
    assert abs(np.corrcoef(load.T)[pairs].mean()) < 0.1


def test_a_roof_says_nothing_about_the_demand_below_it() -> None:
    """One purpose that reads another's stream would move sun and load of a home together."""
    common = {"NUM_PROSUMERS": 300, "MIN_LOAD": 0.0, "TIME_STEPS": 13}
    fleet, noisy = world(**common)
    _, smooth = world(**common, ROOF_VARIATION=0.0)
    roof = noisy.pv_wh[12] / smooth.pv_wh[12]
    load = noisy.load_wh[12] / fleet.base_load_kwh
    assert abs(np.corrcoef(roof, load)[0, 1]) < 0.2


def test_a_roof_differs_from_its_neighbours_by_its_variation_at_most() -> None:
    ratio = ratio_to_clear_sky(days=20, members=8)
    clouds = ratio_to_clear_sky(days=20, members=8, ROOF_VARIATION=0.0)
    assert np.abs(ratio / clouds - 1).max() == pytest.approx(0.1, abs=0.01)


# ---------------------------------------------------------------- demand


def test_the_mean_load_of_many_homes_follows_the_pattern() -> None:
    fleet, profiles = world(NUM_PROSUMERS=2000, MIN_LOAD=0.0)
    mean = (profiles.load_wh / 1000 / fleet.base_load_kwh).mean(axis=1)
    assert mean == pytest.approx(np.array(quick_settings().LOAD_PATTERN), rel=0.01)


def test_a_homes_load_stays_within_its_variation_and_never_below_the_minimum() -> None:
    settings = quick_settings()
    fleet, profiles = world(NUM_PROSUMERS=500)
    usual = fleet.base_load_kwh * np.array(settings.LOAD_PATTERN)[:, None] * 1000
    assert (profiles.load_wh >= 250).all()
    assert (profiles.load_wh == 250).any(), "no home reaches the floor, so this test says nothing"
    assert (profiles.load_wh <= np.maximum(usual * 1.15, 250) + 0.5).all()
    assert (profiles.load_wh >= usual * 0.85 - 0.5).all()


def test_the_minimum_load_is_a_power_and_not_an_energy_per_step() -> None:
    """250 W is 250 Wh in an hour and 63 Wh in a quarter (trap 5)."""
    _, profiles = world(MIN_LOAD=5.0, TIME_STEPS=4, TIME_STEP_DURATION=QUARTER)
    assert (profiles.load_wh == 1250).all()


# ---------------------------------------------------------------- prices


def test_the_market_price_follows_the_pattern_within_its_variation() -> None:
    settings = quick_settings(TIME_STEPS=24 * 30)
    prices = data_generation.make_profiles(settings, prosumer.make_fleet(settings)).prices
    pattern = np.tile(0.15e6 * np.array(settings.PRICE_PATTERN), 30)
    factor = prices.market / pattern
    assert 0.95 - 1e-4 <= factor.min() < 0.955 and 1.045 < factor.max() <= 1.05 + 1e-4
    assert factor.mean() == pytest.approx(1, abs=0.005)


def test_the_forecast_is_not_the_price_that_settles() -> None:
    """Members see a price with an error; who knew the settled price would need no forecast."""
    settings = quick_settings(TIME_STEPS=24 * 30)
    prices = data_generation.make_profiles(settings, prosumer.make_fleet(settings)).prices
    error = prices.forecast / prices.market
    assert (prices.forecast != prices.market).mean() > 0.95
    assert np.abs(error - 1).max() == pytest.approx(0.05, abs=0.002)
    assert error.mean() == pytest.approx(1, abs=0.005)


def test_a_better_forecast_changes_what_is_expected_and_not_what_settles() -> None:
    _, usual = world()
    _, perfect = world(FORECAST_ERROR=0.0)
    assert np.array_equal(perfect.prices.forecast, perfect.prices.market)
    for name in ("market", "market_buy", "market_sell", "wholesale_buy", "grid_import"):
        assert np.array_equal(getattr(usual.prices, name), getattr(perfect.prices, name))


def test_members_expect_no_price_that_the_utility_rules_out() -> None:
    """The local market lies between the utility's prices, which all know, however much a forecast errs."""
    _, profiles = world(
        TIME_STEPS=240, FORECAST_ERROR=1.0, LOCAL_MARKET_FEE=0.0, RETAIL_PRICE=0.252
    )
    prices = profiles.prices
    assert (prices.forecast > prices.grid_import).any()
    assert (prices.forecast < prices.grid_export).any()
    for told in (prices.expected_buy, prices.expected_sell):
        assert (prices.grid_export <= told).all() and (told <= prices.grid_import).all()


def test_the_sun_of_a_step_that_ends_after_midnight_is_not_lost() -> None:
    """A roof whose sun rises at 0 h, and steps of 54 minutes, which cross midnight: nine days hold nine days."""
    settings = quick_settings(TIME_STEP_DURATION=0.9)
    clock = data_generation.make_clock(settings, 240)
    for shift in (-6.0, 0.0, 6.0):
        hours = data_generation.clear_sky_hours(settings, clock, shift)
        assert hours.sum() == pytest.approx(9 * 24 / math.pi, abs=1e-9)


def test_the_mean_24h_value_is_the_mean_of_the_next_24_hours_of_forecast() -> None:
    """What a kWh stored now will be worth; on the day's last step the day after is looked at."""
    for hours, per_hour in ((1.0, 1), (QUARTER, 4)):
        _, two_days = world(TIME_STEPS=48 * per_hour, TIME_STEP_DURATION=hours)
        forecast, ahead = two_days.prices.forecast, two_days.prices.mean_24h
        for t in (0, 5 * per_hour, 24 * per_hour - 1):
            window = [int(p) for p in forecast[t : t + 24 * per_hour]]
            assert ahead[t] == sum(window) // len(window)


@pytest.mark.parametrize("fee", [0.0, 0.03, 0.3])
def test_the_local_market_is_never_worse_than_the_utility(fee: float) -> None:
    """The fee stands on both sides of the market price, but is cut at retail and feed-in price."""
    settings = quick_settings(LOCAL_MARKET_FEE=fee)
    p = data_generation.make_profiles(settings, prosumer.make_fleet(settings)).prices
    width = round(fee * 1e6)
    assert p.market_buy.tolist() == [min(m + width, 320_000) for m in p.market.tolist()]
    assert p.market_sell.tolist() == [max(m - width, 30_000) for m in p.market.tolist()]
    assert set(p.grid_import.tolist()) == {320_000} and set(p.grid_export.tolist()) == {30_000}


# ---------------------------------------------------------------- streams stay apart


def columns(profiles: Profiles) -> dict[str, np.ndarray]:
    """Every column of the profiles, prices included."""
    own = {name: getattr(profiles, name) for name in ("pv_wh", "load_wh", "hour")}
    return own | {f.name: getattr(profiles.prices, f.name) for f in fields(profiles.prices)}


def test_more_members_leave_the_first_ones_unchanged() -> None:
    small_fleet, small = world(NUM_PROSUMERS=30)
    large_fleet, large = world(NUM_PROSUMERS=100)
    for name in ("pv_capacity_kw", "base_load_kwh", "battery_capacity_wh", "initial_stored_wh"):
        assert np.array_equal(getattr(small_fleet, name), getattr(large_fleet, name)[:30]), name
    assert np.array_equal(small.pv_wh, large.pv_wh[:, :30])
    assert np.array_equal(small.load_wh, large.load_wh[:, :30])


def test_consumers_move_in_behind_the_prosumers_and_disturb_nobody() -> None:
    _, without = world(NUM_PROSUMERS=20)
    fleet, with_consumers = world(NUM_PROSUMERS=20, NUM_CONSUMERS=5)
    assert fleet.kind == ("prosumer",) * 20 + ("consumer",) * 5
    assert not fleet.pv_capacity_kw[20:].any() and not fleet.battery_capacity_wh[20:].any()
    assert np.array_equal(without.load_wh, with_consumers.load_wh[:, :20])
    assert not with_consumers.pv_wh[:, 20:].any()


def test_a_longer_run_begins_with_the_same_hours() -> None:
    _, day = world()
    _, days = world(TIME_STEPS=72)
    for name, column in columns(day).items():
        assert np.array_equal(column, columns(days)[name][:24]), name


@pytest.mark.parametrize(
    ("name", "value", "moves"),
    [
        ("LOAD_VARIATION", 0.3, {"load_wh"}),
        ("CLOUD_PERSISTENCE", 0.1, {"pv_wh"}),
        ("ROOF_VARIATION", 0.3, {"pv_wh"}),
        ("FORECAST_ERROR", 0.2, {"forecast", "expected_buy", "expected_sell", "mean_24h"}),
        ("HAS_BATTERY", 0.1, set()),
        ("QUOTE_VARIATION", 0.1, set()),
    ],
)
def test_another_purpose_shifts_no_stream(name: str, value: float, moves: set[str]) -> None:
    """Each purpose draws from a stream of its own: changing one leaves the draws of all others."""
    _, usual = world()
    _, changed = world(**{name: value})
    moved = {
        column
        for column, values in columns(usual).items()
        if not np.array_equal(values, columns(changed)[column])
    }
    assert moved == moves


def test_streams_of_different_seeds_purposes_and_hours_are_different_numbers() -> None:
    """And the same three give the same numbers, however often they are asked for."""
    draws = {
        (seed, purpose, hour): tuple(quick_settings(SEED=seed).stream(purpose, hour).random(3))
        for seed in (1, 2)
        for purpose in ("demand", "price")
        for hour in (0, 1)
    }
    assert len(set(draws.values())) == 8
    again = tuple(quick_settings(SEED=2).stream("price", 1).random(3))
    assert draws[2, "price", 1] == again


def test_another_seed_is_another_day() -> None:
    _, one = world(SEED=1)
    _, two = world(SEED=2)
    for name in ("pv_wh", "load_wh", "market", "forecast"):
        assert not np.array_equal(columns(one)[name], columns(two)[name]), name


def test_the_default_fleet_is_as_the_settings_describe_it() -> None:
    """One index sets PV, load and battery of a home; four homes of five own a battery."""
    settings = make_settings()
    fleet, _ = world(NUM_PROSUMERS=2000)
    types = list(zip(settings.PV_CAPACITY, settings.BASE_CONSUMPTION, strict=True))
    of = np.array(
        [types.index(t) for t in zip(fleet.pv_capacity_kw, fleet.base_load_kwh, strict=True)]
    )
    battery = np.array(settings.BATTERY_CAPACITY)[of] * 1000
    owns = fleet.battery_capacity_wh > 0
    assert np.array_equal(fleet.battery_capacity_wh[owns], battery[owns])
    assert owns.mean() == pytest.approx(0.8, abs=0.03)
    assert np.bincount(of, minlength=10).min() > 150
