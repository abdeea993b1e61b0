"""The scenario: every constant that you may edit. Change a value, save, run `python main.py`.

Each line is a name, a type, a value; below it, what it means, with its unit. setting_types.py holds the range
that each type permits, and a value outside is refused with that range. One run may also differ from this
file without an edit: `python main.py --set NUM_PROSUMERS=50`.
"""

from setting_types import (
    BlockSize,
    Budget,
    Capacities,
    Consensus,
    Count,
    DayPattern,
    Digits,
    Efficiency,
    EnergyPerHour,
    Eur,
    EurPerKwh,
    Factor,
    Flag,
    HashPowers,
    Hours,
    Incentive,
    Loads,
    Mechanism,
    Miners,
    Objective,
    Powers,
    Reward,
    Seed,
    Share,
    Stakes,
    StepHours,
    Steps,
    SunHours,
    Text,
    Threshold,
)

# ---------------------------------------------------------------- community and time

SEED: Seed = 42
"Where every random stream begins: the same seed gives the same day, byte for byte."
NUM_PROSUMERS: Count = 100
"Homes with PV, most of them with a battery. A data file brings its own number."
NUM_CONSUMERS: Count = 0
"Homes with neither PV nor battery. A data file brings its own number."
TIME_STEPS: Steps = 24
"How many steps to simulate; a day in quarter hours has 96. A data file runs whole unless --steps says less."
TIME_STEP_DURATION: StepHours = 1.0
"Length of a step in hours, from five minutes (0.0833) to one hour."
HOUSEHOLDS: Text = ""
'Homes of the data file to take, by id or by prefix of the id: "flat1,house2" or "flat:1,house:2"; empty takes all.'

# ---------------------------------------------------------------- homes: ten types, one value each

PV_CAPACITY: Powers = [2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]
"PV on the roof of each home type (kW)."
BASE_CONSUMPTION: Loads = [0.35, 0.45, 0.55, 0.65, 0.75, 0.90, 1.05, 1.20, 1.35, 1.50]
"Load of each home type (kWh per hour) where LOAD_PATTERN is 1; the pattern of this file makes 0.935 of it on average, and more of the smallest, which MIN_LOAD lifts."
BATTERY_CAPACITY: Capacities = [5, 7, 8, 10, 12, 13, 15, 17, 18, 20]
"Battery of each home type (kWh), for the homes that own one."
HAS_BATTERY: Share = 0.8
"Chance of each prosumer to own a battery."
INITIAL_WALLET: Eur = 0.0
"Money of each member before the first step (EUR)."

# ---------------------------------------------------------------- sun and demand

SEASON_FACTOR: Factor = 1.0
"Strength of the sun: 1 in summer, about 0.3 in a central European December."
PV_SYSTEM_EFFICIENCY: Efficiency = 0.88
"What cables, inverter and dust leave of the PV power."
CLOUD_MIN_TRANSMISSION: Share = 0.5
"What the thickest clouds let through; each hour's share lies between this and 1, the same for all roofs."
CLOUD_PERSISTENCE: Share = 0.7
"How much of the sky of one hour is left in the next: 0 is new clouds each hour, 1 one sky for the whole run."
ROOF_VARIATION: Share = 0.1
"Largest deviation of one roof's PV from the community's, drawn per hour."
ORIENTATION_SHIFT: SunHours = 1.5
"How many hours earlier an east roof, and later a west roof, has its peak than a south roof."
LOAD_PATTERN: DayPattern = [
    0.40, 0.35, 0.35, 0.35, 0.40, 0.60, 1.10, 1.40, 1.20, 0.90, 0.80, 0.90,
    1.00, 0.90, 0.80, 0.80, 0.90, 1.10, 1.60, 1.90, 1.70, 1.40, 1.00, 0.60,
]  # fmt: skip
"Load in each hour of the day, as a multiple of BASE_CONSUMPTION."
LOAD_VARIATION: Share = 0.15
"Largest deviation of one home's load from its pattern, drawn per hour."
MIN_LOAD: EnergyPerHour = 0.25
"Load below which no home falls: fridge and standby (kWh per hour)."

# ---------------------------------------------------------------- batteries

BATTERY_EFFICIENCY: Efficiency = 0.95
"Round trip: of 1 kWh charged, this much can be discharged again."
BATTERY_MIN_SOC: Share = 0.1
"Lowest permitted state of charge."
BATTERY_MAX_SOC: Share = 0.95
"Highest permitted state of charge."
BATTERY_INITIAL_SOC: Share = 0.5
"State of charge before the first step."
BATTERY_C_RATE: Factor = 0.5
"Largest charge or discharge power per kWh of capacity (kW/kWh)."

# ---------------------------------------------------------------- prices

BASE_PRICE: EurPerKwh = 0.15
"Market price where PRICE_PATTERN is 1 (EUR/kWh); the pattern of this file makes 1.1 of it on average."
PRICE_PATTERN: DayPattern = [
    0.7, 0.6, 0.6, 0.6, 0.7, 0.9, 1.3, 1.5, 1.4, 1.2, 1.1, 1.2,
    1.3, 1.1, 1.0, 1.0, 1.1, 1.2, 1.5, 1.6, 1.5, 1.3, 1.1, 0.9,
]  # fmt: skip
"Market price in each hour of the day, as a multiple of BASE_PRICE."
PRICE_VARIATION: Share = 0.05
"Largest deviation of an hour's market price from the pattern."
FORECAST_ERROR: Share = 0.05
"Largest deviation of the price that members expect from the price that settles."
RETAIL_PRICE: EurPerKwh = 0.32
"What the utility, the backstop, takes for a kWh (EUR/kWh)."
FEED_IN_PRICE: EurPerKwh = 0.03
"What the utility, the backstop, pays for a kWh (EUR/kWh)."

# ---------------------------------------------------------------- trading

MARKET_MECHANISM: Mechanism = "midpoint"
"The rule by which neighbours trade."
MAX_TRADE_CAP: EnergyPerHour = 3.0
"Most that one member may trade, P2P and local market together (kWh per hour); the rest goes to the utility."
IMBALANCE_THRESHOLD: Threshold = 0.05
"Smallest surplus or deficit worth an order (kWh per hour); less goes to the utility."
LOCAL_MARKET_FEE: EurPerKwh = 0.03
"What the aggregator adds to the market price for buyers and takes off for sellers (EUR/kWh)."
OFFER_SHARE: Share = 0.5
"Share of the charge above the reserve that an idle battery offers to neighbours within an hour; maximize_p2p raises it."
STORAGE_BID_SHARE: Share = 0.5
"Share of the free room that a battery bids for neighbours' surplus within an hour; maximize_renewable and maximize_p2p raise it."
STORAGE_MARGIN: EurPerKwh = 0.005
"What a battery wants to gain on each kWh that it buys to store, and again when it sells it (EUR/kWh)."
QUOTE_MARGIN: Share = 0.35
"Part of the gap between what a kWh costs and earns outside that a member keeps on an order as large as its usual load."
QUOTE_VARIATION: Share = 0.35
"What is added to that part or taken off, at most: most of it by temper, for good, the rest by mood, per step."

# ---------------------------------------------------------------- regulator

REGULATOR_OBJECTIVE: Objective = "maximize_renewable"
"What the regulator steers for; each objective sets levers of its own."
RENEWABLE_BONUS: Incentive = 0.02
"Paid for each kWh of PV that its home uses at once or stores in its battery (EUR/kWh)."
P2P_BONUS: Incentive = 0.01
"Paid to both sides for each kWh traded between neighbours (EUR/kWh)."
PENALTY_FOR_MARKET: Incentive = 0.02
"Taken for each kWh that a member trades through the local market (EUR/kWh)."
REGULATOR_BUDGET: Budget = 4e9
"Once bonuses exceed penalties by this, in the whole run, the regulator promises none until penalties refill it (EUR); the step in which it is spent is still paid. 4e9 is no limit."
BAN_PENALTY_LIMIT: Eur = 0.002
"Avoidable market penalties of the last 24 hours above which a ban follows (EUR)."
BAN_BONUS_LIMIT: Eur = 0.4
"Bonuses of the last 24 hours that protect from that ban (EUR)."
BAN_MARKET_HOURS: Hours = 2.0
"Length of a ban for excessive market use (hours)."
BAN_BALANCE_LIMIT: Eur = -0.25
"Balance, INITIAL_WALLET and all since the first step, under which a member that let P2P trades pass is banned (EUR)."
BAN_BALANCE_HOURS: Hours = 3.0
"Length of a ban for a low balance (hours)."
BAN_COOLDOWN_HOURS: Hours = 5.0
"No second ban for the same reason within this time (hours)."

# ---------------------------------------------------------------- ledger

CONSENSUS: Consensus = "pow"
'How blocks are sealed: "pow" (work), "pos" (stake), or "none" (no ledger, no rewards).'
NUM_MINERS: Miners = 15
"Miners that race for each block; with stake, the validators."
MINER_HASH_POWER: HashPowers = []
"Attempts of each miner per round of the race; empty: one each."
VALIDATOR_STAKES: Stakes = [20, 18, 16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
"Stake of each validator; its share is the chance of its turn (CONSENSUS pos)."
DIFFICULTY_TARGET: Digits = 3
"Leading zero digits that a block's hash needs; each one more costs 16 times the work."
BLOCK_REWARD: Reward = 0.1
"New money for the winner of a block (EUR); shorter steps make more blocks."
MAX_TRANSACTIONS_PER_BLOCK: BlockSize = 50
"Trades that fit into one block; a busy step mines several."

# ---------------------------------------------------------------- terminal

VERBOSE: Flag = True
"Print the summary table of the day; false prints a line or two."
