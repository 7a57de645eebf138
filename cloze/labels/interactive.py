"""Sends requests one by one, several at a time, and commits each answer when it arrives.

A request is committed as `submitted` before it is sent. If the process dies before its answer is committed, nobody can
know whether it was billed: the next run counts that attempt as `missing` and sends it again, so at most one request
for each of the `concurrency` slots may be billed twice by one kill.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cloze.errors import SettingsError
from cloze.labels.answers import Answer, State
from cloze.labels.cost import Price
from cloze.labels.ledger import BudgetError, Ledger, Pending
from cloze.labels.provider import BusyError, DeniedError, InteractiveProvider, RefusedError, UncertainError
from cloze.labels.watch import ModelWatch, as_it_came

MAX_BUSY = 20  # refusals for want of capacity in a row
MAX_REFUSED = 3  # requests refused as wrong before any was answered
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0


@dataclass(frozen=True, kw_only=True)
class InteractiveOptions:
    """How an interactive run goes.

    Attributes:
        model: asked; an answer by another stops the run.
        price: USD per million tokens, of single requests.
        budget_usd: limit for the selection: what was billed, what is under way and what is next together.
        max_attempts: how often a request is sent at most, the first time included.
        concurrency: how many requests may be under way at a time.
        rpm, tpm: requests and tokens per minute, the provider's limits; tokens are those estimated by the plan.
    """

    model: str
    price: Price
    budget_usd: float
    max_attempts: int = 3
    concurrency: int = 8
    rpm: float = 1_000.0
    tpm: float = 1_000_000.0

    def __post_init__(self) -> None:
        for name in ("max_attempts", "concurrency", "rpm", "tpm"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")


def run_interactive(
    ledger: Ledger,
    provider: InteractiveProvider,
    body: Callable[[str, int], Mapping[str, Any]],
    options: InteractiveOptions,
    say: Callable[[str], None],
    parse: Callable[[Answer], Answer] = as_it_came,
) -> None:
    """Send the selected requests and record their answers until each is final or out of attempts; close the provider.

    Requests that are in a batch job are left to `run_batches`.

    Args:
        body: what to send for a key and its attempt; attempts count from 1.
        say: tells a person what happens.
        parse: makes the label's text of an `OK` answer, or says why it is none (`UNPARSABLE`).

    Raises:
        BudgetError: the next request could exceed the budget. What was sent before has been recorded.
        SettingsError: another model answered than was asked.
        BusyError: the provider wanted nothing for too long.
        RefusedError: it refused the first requests; they are `planned` as before.
        DeniedError: it does not take the credentials, or no more.
    """
    asyncio.run(_Run(ledger, provider, body, options, say, parse).drive())


class _Run:
    """One run of `run_interactive`; all that must outlive it is in the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        provider: InteractiveProvider,
        body: Callable[[str, int], Mapping[str, Any]],
        options: InteractiveOptions,
        say: Callable[[str], None],
        parse: Callable[[Answer], Answer],
    ) -> None:
        self._ledger, self._provider, self._body, self._options = ledger, provider, body, options
        self._say, self._watch = say, ModelWatch(options.model, parse)
        self._requests, self._tokens = _Bucket(options.rpm), _Bucket(options.tpm)
        self._under_way: dict[str, float] = {}  # key -> USD set aside for it
        self._spent = self._reserved = 0.0
        self._usd_answered, self._n_answered = 0.0, 0
        self._suspects: list[tuple[Pending, RefusedError]] = []
        self._busy = 0
        self._held_until = 0.0
        self._jitter = random.Random(0)  # noqa: S311 - only spreads waits

    async def drive(self) -> None:
        n_lost = self._ledger.begin(self._options.model, self._options.max_attempts)
        if n_lost:
            self._say(f"{n_lost:,} requests were sent before and their answers lost; they may have been billed")
        n_elsewhere = sum(shard.n_requests for shard in self._ledger.open_shards())
        if n_elsewhere:
            self._say(f"{n_elsewhere:,} requests are in batch jobs; a batch run collects them")
        self._spent, self._reserved = self._ledger.cost(), self._ledger.reserved()
        tasks: set[asyncio.Task[None]] = set()
        try:
            while (request := self._next()) or tasks:
                if (
                    request is None
                    or len(tasks) >= self._options.concurrency
                    or not self._is_affordable(request, tasks)
                ):
                    tasks = await _some_done(tasks)
                    continue
                what = self._body(request.key, request.attempt)
                await self._pace(request)
                self._ledger.take(request.key)
                self._under_way[request.key] = self._usd_expected(request)
                tasks.add(asyncio.create_task(self._ask(request, what)))
            if self._suspects:
                raise self._suspects[0][1]
        finally:
            # What is under way is paid for: wait for its answers, whatever happened.
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._provider.close()
            for request, _ in self._suspects:
                self._ledger.give_back(request.key)

    def _next(self) -> Pending | None:
        return next(iter(self._ledger.pending(1)), None)

    def _is_affordable(self, request: Pending, tasks: set[asyncio.Task[None]]) -> bool:
        """Whether the budget has room for it beside all that is under way.

        Raises:
            BudgetError: it has not, and nothing is under way that could turn out cheaper than expected.
        """
        reserved, expected = self._reserved + sum(self._under_way.values()), self._usd_expected(request)
        if self._spent + reserved + expected <= self._options.budget_usd:
            return True
        if tasks:
            return False
        raise BudgetError(self._options.budget_usd, self._spent, reserved, expected, "the next request")

    def _usd_expected(self, request: Pending) -> float:
        """The mean of what answers cost in this run; before the first one, the plan's estimate."""
        if self._n_answered:
            return self._usd_answered / self._n_answered
        return self._options.price.usd(request.est_input_tokens, request.est_output_tokens)

    async def _pace(self, request: Pending) -> None:
        """Wait until the limits per minute, and the provider's own wish, let the next request go."""
        clock = asyncio.get_running_loop()
        tokens = request.est_input_tokens + request.est_output_tokens
        due = max(self._requests.due(1, clock.time()), self._tokens.due(tokens, clock.time()))
        while (pause_s := max(due, self._held_until) - clock.time()) > 0:
            await asyncio.sleep(pause_s)

    async def _ask(self, request: Pending, what: Mapping[str, Any]) -> None:
        """Send one request and record what came of it."""
        try:
            answer = await self._provider.ask(self._options.model, request.key, what)
        except BusyError as error:
            self._ledger.give_back(request.key)
            self._hold(error)
        except DeniedError:
            self._ledger.give_back(request.key)
            raise
        except RefusedError as error:
            self._suspects.append((request, error))
            if not self._n_answered and len(self._suspects) >= MAX_REFUSED:
                raise
        except UncertainError as error:
            self._record(request, Answer(request.key, State.MISSING, reason=f"answer lost: {error}"))
        else:
            self._busy = 0
            self._record(request, self._watch.checked(answer))
            self._n_answered += 1
            self._watch.stop_if_other()
        finally:
            del self._under_way[request.key]
        if self._n_answered:
            self._blame_suspects()

    def _record(self, request: Pending, answer: Answer) -> None:
        usd = self._options.price.usd(answer.input_tokens, answer.output_tokens, answer.cached_tokens)
        self._ledger.record(request.attempt, answer, usd, self._options.max_attempts)
        self._spent += usd
        self._usd_answered += usd

    def _blame_suspects(self) -> None:
        """The provider answers others, so a request that it refused is itself wrong."""
        while self._suspects:
            request, error = self._suspects.pop()
            self._record(request, Answer(request.key, State.FAILED, reason=f"refused: {error}", is_final=True))

    def _hold(self, error: BusyError) -> None:
        """Send nothing for as long as the provider asks, or ever longer where it does not say.

        Raises:
            BusyError: it was busy too often in a row.
        """
        now = asyncio.get_running_loop().time()
        if now < self._held_until:
            return  # one of several that were under way when the first was turned away
        self._busy += 1
        if self._busy >= MAX_BUSY:
            raise error
        wait_s = error.wait_s or min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (self._busy - 1))
        self._say(f"{error}; waiting {wait_s:.0f} s")
        self._held_until = now + wait_s * (1 + 0.25 * self._jitter.random())


class _Bucket:
    """Lets an amount per minute pass, evenly."""

    def __init__(self, per_minute: float) -> None:
        self._per_s = per_minute / 60
        self._free_at = 0.0

    def due(self, amount: float, now: float) -> float:
        """When this amount may pass, by the clock that says `now`; what comes later waits for it."""
        at = max(now, self._free_at)
        self._free_at = at + amount / self._per_s
        return at


async def _some_done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for at least one; the others. What it raised is raised here."""
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return others
