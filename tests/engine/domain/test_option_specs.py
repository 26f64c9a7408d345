"""No option is accepted and ignored: each with each operation on each engine."""

from __future__ import annotations

import pytest

from engine.domain.engines import EngineName, engine_spec, engine_specs
from engine.domain.errors import UsageError
from engine.domain.option_specs import BY_NAME, OPTION_SPECS, applicable, changed_options, refuse_inapplicable
from engine.domain.requests import CheckLevel, Operation, Options, ServerOptions
from engine.targets import resolve

SQLITE, POSTGRESQL = EngineName.SQLITE, EngineName.POSTGRESQL
OFFERED = {
    engine: tuple(resolve(url).operations)
    for engine, url in ((SQLITE, "sales.db"), (POSTGRESQL, "postgresql://ann@db1/shop"))
}
ALWAYS = (
    "on_failure",
    "on_step_failure",
    "lock_timeout",
    "time_limit",
    "until",
    "stop_at_limit",
    "verify",
    "confirmed",
    "check_first",
    "if_needed",
    "limits",
)
# Of other options, for which operations they mean something; each engine not named here has none.
MEANT_FOR = {
    "done": {SQLITE: "all", POSTGRESQL: "all"},
    "leave_out": {SQLITE: "all", POSTGRESQL: "all"},
    "force": {SQLITE: "all", POSTGRESQL: "all"},
    "jobs": {SQLITE: "check", POSTGRESQL: "all"},
    "objects": {SQLITE: "analyze reindex check", POSTGRESQL: "all"},
    "rebuild": {SQLITE: "reindex", POSTGRESQL: "reindex"},
    "analysis_limit": {SQLITE: "analyze"},
    "check": {SQLITE: "check", POSTGRESQL: "check"},
    "backup_to": {SQLITE: "backup"},
    "schemas": {POSTGRESQL: "all"},
    "analyze": {POSTGRESQL: "vacuum optimize"},
    "freeze": {POSTGRESQL: "vacuum optimize"},
    "index_cleanup": {POSTGRESQL: "vacuum optimize"},
    "truncate": {POSTGRESQL: "vacuum optimize"},
    "parallel_workers": {POSTGRESQL: "vacuum optimize"},
    "skip_locked": {POSTGRESQL: "vacuum analyze optimize"},
    "buffer_usage_limit": {POSTGRESQL: "vacuum analyze optimize"},
    "missing_only": {POSTGRESQL: "analyze"},
    "in_stages": {POSTGRESQL: "analyze optimize"},
    "offline": {POSTGRESQL: "reindex optimize"},
    "speed": {POSTGRESQL: "vacuum analyze optimize"},
    "max_lag": {POSTGRESQL: "all"},
    "pause_while": {POSTGRESQL: "all"},
    "yield_after": {POSTGRESQL: "all"},
    "snapshot_wait": {POSTGRESQL: "reindex optimize repack"},
    "server_wait": {POSTGRESQL: "all"},
    "queue": {POSTGRESQL: "all"},
}
EACH = [(engine, operation) for engine in OFFERED for operation in OFFERED[engine]]


@pytest.mark.parametrize("name", [*ALWAYS, *MEANT_FOR])
def test_an_option_is_taken_where_it_means_something_and_refused_by_name_elsewhere(name: str) -> None:
    for engine, operation in EACH:
        wanted = "all" if name in ALWAYS else MEANT_FOR[name].get(engine, "")
        if wanted == "all" or operation in wanted.split():
            refuse_inapplicable([name], engine, [operation])
            continue
        with pytest.raises(UsageError) as problem:
            refuse_inapplicable([name], engine, [operation])
        assert problem.value.what == BY_NAME[name].as_typed(Options())
        said = str(problem.value)
        assert operation in said if wanted else any(word in said for word in ("SQLite", "PostgreSQL")), (engine, said)


@pytest.mark.parametrize("engine", engine_specs())
def test_every_engine_has_words_for_options_that_it_lacks(engine: EngineName) -> None:
    assert engine_spec(engine).kind
    for spec in OPTION_SPECS:
        assert spec.is_for(engine) or spec.problem(engine, [Operation.VACUUM], Options()).why


@pytest.mark.parametrize(("value", "typed"), [(True, "--truncate"), (False, "--no-truncate")])
def test_an_option_is_refused_as_it_was_typed(value: bool, typed: str) -> None:
    options = Options(server=ServerOptions(truncate=value))
    for engine, operation in ((POSTGRESQL, Operation.ANALYZE), (SQLITE, Operation.VACUUM)):
        with pytest.raises(UsageError) as problem:
            refuse_inapplicable(changed_options(options), engine, [operation], options)
        assert problem.value.what == typed


def test_what_means_something_to_one_of_several_operations_is_taken() -> None:
    refuse_inapplicable(["freeze"], POSTGRESQL, [Operation.ANALYZE, Operation.VACUUM])


def test_what_is_usual_for_a_target_holds_where_it_means_something() -> None:
    usual = Options(
        jobs=4, check=CheckLevel.QUICK, objects=("item",), server=ServerOptions(offline=True, schemas=("a",))
    )
    assert set(changed_options(usual)) == {"jobs", "check", "objects", "offline", "schemas"}
    vacuum = applicable(usual, POSTGRESQL, [Operation.VACUUM])
    assert vacuum == Options(jobs=4, objects=("item",), server=ServerOptions(schemas=("a",)))
    assert applicable(vacuum, POSTGRESQL, [Operation.VACUUM]) is vacuum
    # What narrows an operation is never left out: more would be done than was asked for.
    assert set(changed_options(applicable(usual, SQLITE, [Operation.VACUUM]))) == {"objects", "schemas"}
