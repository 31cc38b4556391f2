from __future__ import annotations

from crosswire.core.log_epochs import MAX_BEGUN_EPOCHS, MAX_OLD_EPOCHS, LogEpochs


def test_epochs_are_remembered_as_over() -> None:
    epochs = LogEpochs()
    for index in range(MAX_OLD_EPOCHS + 1):
        epochs.end(f"E{index:07}")
    assert not epochs.is_over("E0000000")
    assert epochs.is_over("E0000001")


def test_an_epoch_that_was_heard_to_begin_later_is_not_void() -> None:
    epochs = LogEpochs()
    epochs.use("E")
    epochs.hear_beginning("F")
    epochs.void()
    epochs.use("F")
    assert epochs.is_void
    assert not epochs.hear_beginning("G")
    epochs.use("G")
    assert not epochs.is_void


def test_the_beginning_may_be_heard_when_the_epoch_is_in_use() -> None:
    epochs = LogEpochs()
    epochs.use("E")
    epochs.void()
    assert not epochs.hear_beginning("E")
    epochs.use("F")
    assert epochs.is_void
    assert epochs.hear_beginning("F")
    assert not epochs.is_void
    assert not epochs.hear_beginning("F")


def test_few_beginnings_are_remembered() -> None:
    epochs = LogEpochs()
    epochs.void()
    for index in range(MAX_BEGUN_EPOCHS + 1):
        epochs.hear_beginning(f"E{index:07}")
    epochs.use("E0000000")
    assert epochs.is_void
    epochs.use(f"E{MAX_BEGUN_EPOCHS:07}")
    assert not epochs.is_void
