"""The targets that the words of a command name: paths, URLs, patterns, names and groups of the config file."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from engine import Engine, StoreLocation
from engine.config.model import Config, TargetEntry
from engine.domain.errors import PasswordNeededError, StoreError, TargetUnavailableError, UsageError
from engine.domain.humanize import counted
from engine.domain.lazy_import import lazy
from engine.domain.server_names import names_server
from engine.domain.surveys import FleetLevel, SurveyCause
from engine.fleet.expansion import Expansion, Unlisted, expand
from engine.fleet.target_words import entries_named
from engine.system.clock import now
from tui.commands import output
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.presentation.left_out import format_left_out
from tui.presentation.plain_names import PlainNames
from tui.presentation.survey_format import why
from tui.presentation.text import plain

if TYPE_CHECKING:
    from engine import Hosts
    from engine.fleet import filters
    from engine.fleet.filters import FleetFilter
    from tui.commands import passwords, terminal_question
else:
    filters = lazy("engine.fleet.filters", "only filters of a fleet need it")
    passwords = lazy("tui.commands.passwords", "only a server that wants one needs it")
    terminal_question = lazy("tui.commands.terminal_question", "only very many targets need it")

_UNKNOWN: Final = frozenset({FleetLevel.UNKNOWN, FleetLevel.UNREACHABLE})
"""Levels of targets whose survey says nothing else."""


def target_entries(words: Iterable[str], config: Config) -> list[TargetEntry]:
    """The entries that words name: those of a group or a name in the config file, or a path or URL. With the defaults.

    Patterns are not expanded. Raises UsageError for an unknown group, and for a bare word that is close to a name.
    """
    given = list(words)
    return entries_named(given, config, name_of=PlainNames(given).of)


def entries_of(args: argparse.Namespace, config: Config) -> list[TargetEntry]:
    """The entries that the words of a command name, patterns unexpanded; with filters alone, those of the config file.

    Raises UsageError.
    """
    if not args.words:
        raise UsageError(args.command, "no TARGET was given", f"such as: dbtend {args.command} sales.db")
    words = [word for word in args.words if not filters.is_filter_word(word)]
    return target_entries(words or [entry.name for entry in config.targets], config)


def named_targets(entries: Sequence[TargetEntry], args: argparse.Namespace, settings: Settings) -> Expansion:
    """The single targets that the entries of a command stand for; see `expanded`.

    Words such as `level:now` restrict them by their survey; missing ones are made. Targets that cannot be
    judged by it are among the unlisted ones.
    """
    found = expanded(entries, args, settings.store)
    meant = filters.fleet_filter(filter(filters.is_filter_word, args.words))
    if meant == filters.FleetFilter():
        return found
    if meant.needs_survey:
        passwords.ask_for_missing([entry.url for entry in found.targets])
    kept, unlisted = run_async(_kept(found.targets, meant, settings, read_only=args.command != "run"))
    output.notice(f"{len(kept):,} of {counted(len(found.targets), 'target')} meant by the filter")
    return replace(found, targets=kept, unlisted=[*found.unlisted, *unlisted])


async def _kept(
    entries: Sequence[TargetEntry], meant: FleetFilter, settings: Settings, *, read_only: bool
) -> tuple[list[TargetEntry], list[Unlisted]]:
    """The wanted targets, and those that may be wanted."""
    if not meant.needs_survey:
        return [entry for entry in entries if meant.matches(entry, None, now())], []
    async with Engine.open(settings.store, read_only=read_only or settings.read_only) as engine:
        surveyed = {one.entry.url: one.survey async for one in engine.survey(entries)}
    kept, unlisted, gone = [], [], []
    for entry in entries:
        survey = surveyed[entry.url]
        if meant.matches(entry, survey, now()):
            kept.append(entry)
        elif meant.levels and survey.reason is not None and survey.reason.cause is SurveyCause.GONE:
            gone.append(
                Unlisted(entry, TargetUnavailableError(entry.url, why(survey), "see dbtend fleet"), is_pattern=False)
            )
        elif survey.level in _UNKNOWN - meant.levels:
            problem = f"the filter cannot judge it: {why(survey)}"
            error = TargetUnavailableError(entry.url, problem, "see dbtend fleet")
            unlisted.append(Unlisted(entry, error, is_pattern=False))
    if not kept:  # that nothing is left must not read as if all were well
        return kept, [*unlisted, *gone]
    output.notice(*(f"{one.error}: left out by the filter" for one in gone))
    return kept, unlisted


def refuse_for_one_target(args: argparse.Namespace, found: Expansion) -> None:
    """Raise UsageError for options that mean nothing for these targets."""
    is_alone = len(found.targets) == 1 and not found.targets[0].pattern and not found.unlisted
    for name in ("max_failures", "canary", "max_per_host", "order"):
        if is_alone and getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(option, f"means nothing for one target, {found.targets[0].url}", "leave it out")
    if (
        args.max_per_host is not None
        and not any(names_server(target.url) for target in found.targets)
        and not found.unlisted
    ):
        raise UsageError("--max-per-host", "means nothing for files: no target is on a server", "leave it out")


def expanded(
    entries: Sequence[TargetEntry], args: argparse.Namespace, store: StoreLocation, *, are_all: bool = True
) -> Expansion:
    """The single targets of entries. Reports left out ones and, if `are_all`, patterns that exclude nothing.

    Raises UsageError, TargetError.
    """
    found = _with_passwords(entries, args, store)
    for pattern in found.unused_excludes if are_all else ():
        hint = "it is compared with whole names, paths and databases; upper and lower case differ"
        output.notice(f"--exclude {plain(pattern)}: matches no target ({hint})")
    if found.left_out:
        left_out = format_left_out(found)
        if not (found.targets or found.unlisted):
            raise UsageError(entries[0].url, "stands for no database", left_out)
        output.notice(left_out)
    return found


def _with_passwords(entries: Sequence[TargetEntry], args: argparse.Namespace, store: StoreLocation) -> Expansion:
    """The expansion; passwords that servers ask for before they list their databases are asked for at the terminal."""
    while True:
        try:
            found = _expanded(entries, args, store)
            missing = [one.error for one in found.unlisted if isinstance(one.error, PasswordNeededError)]
        except PasswordNeededError as problem:
            if not passwords.ask(problem):
                raise
        else:
            answered = [passwords.ask(problem) for problem in missing]
            if not any(answered):
                return found


def _expanded(entries: Sequence[TargetEntry], args: argparse.Namespace, store: StoreLocation) -> Expansion:
    """Raises UsageError, TargetError, StoreError."""
    answers: list[Engine | StoreError] = []

    async def work() -> Expansion:
        async with AsyncExitStack() as stack:

            async def engine() -> Engine:
                if not answers:
                    try:
                        answers.append(await stack.enter_async_context(Engine.open(store, read_only=True)))
                    except StoreError as error:
                        answers.append(error)
                if isinstance(answers[0], StoreError):
                    raise answers[0]
                return answers[0]

            async def hosts() -> Hosts | None:
                return (await engine()).hosts

            async def known() -> Collection[str]:
                with suppress(StoreError):  # whoever needs the store says why
                    return await (await engine()).known_databases()
                return ()

            return await expand(
                entries,
                exclude=args.exclude or (),
                all_databases=args.all_databases,
                confirm_many=partial(_confirm_many, given=bool(getattr(args, "confirmed", False))),
                hosts=hosts if store.is_shared else None,
                known=known,
            )

    return run_async(work())


def _confirm_many(what: str, count: int, *, given: bool) -> None:
    """Raises UsageError unless `--yes` is given or the number is typed."""
    if given:
        return
    if not terminal_question.can_ask():
        hint = "there is no terminal to ask at: give --yes, or leave some out with --exclude"
        raise UsageError(what, f"there are {count:,} targets", hint)
    output.notice(f"{plain(what)}: there are {count:,} targets")
    terminal_question.have_typed(str(count))
