"""Connections share a context only while it makes no difference."""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context

from crosswire.server.running_handlers import AllHandlers, RunningHandlers
from crosswire.server.usual_context import UsualContext

tenant: ContextVar[object] = ContextVar("tenant")
note: ContextVar[object] = ContextVar("note")


def context_with(**values: object) -> Context:
    """Return a context in which the variables of this module have the given values."""
    context = Context()
    for name, value in values.items():
        context.run({"tenant": tenant, "note": note}[name].set, value)
    return context


def handlers_of(total: AllHandlers, context: Context) -> RunningHandlers:
    return RunningHandlers(context, total)


def test_it_serves_contexts_with_the_same_objects() -> None:
    usual, value = UsualContext(), object()
    assert [usual.serves(context_with(tenant=value)) for _ in range(3)] == [True, True, True]
    assert usual.copy()[tenant] is value


def test_it_does_not_serve_a_context_with_an_equal_object() -> None:
    usual = UsualContext()
    assert usual.serves(context_with(tenant=[]))
    assert not usual.serves(context_with(tenant=[]))


def test_it_does_not_serve_a_context_with_other_or_more_or_fewer_variables() -> None:
    usual, value = UsualContext(), object()
    assert usual.serves(context_with(tenant=value))
    others = [context_with(note=value), context_with(tenant=value, note=value), context_with()]
    assert [usual.serves(each) for each in others] == [False, False, False]


def test_an_object_that_refuses_to_be_compared_does_no_harm() -> None:
    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not comparable")

        __hash__ = None  # type: ignore[assignment]

    usual = UsualContext()
    assert usual.serves(context_with(tenant=Incomparable()))
    assert not usual.serves(context_with(tenant=Incomparable()))


def test_what_runs_in_the_own_context_of_a_connection_does_not_change_that_of_another() -> None:
    total = AllHandlers(10, (), lambda: None)
    first, second = (handlers_of(total, context_with(tenant="a")) for _ in range(2))
    first.context().run(tenant.set, "b")
    assert first.context() is first.context()
    assert (first.copy_context()[tenant], second.copy_context()[tenant]) == ("b", "a")
    assert handlers_of(total, context_with(tenant="a")).copy_context()[tenant] == "a"


def test_a_kept_method_returns_what_was_set_after_it_was_taken() -> None:
    handlers = handlers_of(AllHandlers(10, (), lambda: None), copy_context())
    new_context = handlers.new_context
    handlers.context().run(tenant.set, "b")
    assert new_context()[tenant] == "b"


def test_an_own_context_is_given_up_if_it_differs_in_nothing() -> None:
    total = AllHandlers(10, (), lambda: None)
    first, second, third = (handlers_of(total, context_with(tenant="a")) for _ in range(3))
    for handlers in (first, second):
        handlers.context()
    second.context().run(note.set, "b")
    for handlers in (first, second):
        handlers.share_context()
    assert first.copy_context == third.copy_context != second.copy_context
    assert (second.copy_context()[note], first.copy_context().get(note)) == ("b", None)
