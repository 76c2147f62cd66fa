"""The names of metrics, events and attributes, as queries in Application Insights use them."""

from __future__ import annotations

from enum import StrEnum


class Metric(StrEnum):
    """customMetrics, and their units."""

    QUEUE_DELAY = "genaiops.queue.delay"
    """Seconds from when a message could have been handled until it was; by queue."""
    STEP_DURATION = "genaiops.step.duration"
    """Seconds that a step took; by step, outcome, kind and use case."""
    CHAIN_AGE = "genaiops.chain.age"
    """Seconds from a chain's begin to the end of a step; by step, kind and use case."""
    CHAIN_DURATION = "genaiops.chain.duration"
    """Seconds from a chain's begin to its end; by outcome, kind and use case."""
    OPEN_CHAINS = "genaiops.chains.open"
    """Chains that have not ended; by step. Seen by housekeeping."""
    OLDEST_STEP = "genaiops.chains.oldest"
    """Seconds that the step lasts of the chain that waits longest in it; by step. Seen by housekeeping."""
    RUNS = "genaiops.runs"
    """Runs and evaluations that ended; by command and outcome."""
    TOKENS = "genaiops.tokens"
    """Model tokens of runs and evaluations; by kind of token and use case."""
    FAILURES = "genaiops.failures"
    """Faults met by commands; by family and command."""
    DEAD_LETTERS = "genaiops.dead_letters"
    """Messages that nobody could handle; by queue and reason."""


class Event(StrEnum):
    """customEvents: each happens once, however often a message comes."""

    CHAIN_STARTED = "ChainStarted"
    STEP_STARTED = "StepStarted"
    STEP_ENDED = "StepEnded"
    CHAIN_ENDED = "ChainEnded"
    DEAD_LETTERED = "DeadLettered"


class Attribute(StrEnum):
    """customDimensions of spans (requests), events, metrics and log lines (traces, exceptions)."""

    CHAIN = "chain"
    KIND = "kind"
    USE_CASE = "use_case"
    STEP = "step"
    COMMAND = "command"
    """The command's type."""
    EVENT = "event"
    """The event's type."""
    OUTCOME = "outcome"
    ATTEMPT = "attempt"
    LOOK = "look"
    DELIVERY = "delivery"
    """1 at the first delivery."""
    QUEUE = "queue"
    QUEUE_DELAY = "queue_delay_s"
    FAMILY = "family"
    """`throttled`, `transient`, `business failure`, `malformed` or `unexpected`."""
    REASON = "reason"
    TOKENS = "tokens"
    """`prompt` or `completion`."""
    DEAD_LETTER = "dead_letter"
    ROUTE = "route"
    LOGGER = "logger"
    AGE = "age_s"
