"""The table of training losses beside the published ones."""

from __future__ import annotations

import json
from pathlib import Path

from bench.models.published_curves import published_losses
from bench.types import RunResult, Training
from reports.results.entries import Entry, entry_of
from reports.tables.training_losses import training_losses_table
from tests.reports.fake_runs import ACM, DFINET, result, row_of

PUBLISHED = published_losses("ACM", "NUDT-SIRST")
assert PUBLISHED is not None


def trained(root: Path, made: RunResult, losses: list[float]) -> Entry:
    """An entry whose training logged these losses."""
    training = made.experiment.weights
    assert isinstance(training, Training)
    log = root / "trainings" / training.key / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps({"epoch": n, "loss": loss}) + "\n" for n, loss in enumerate(losses, start=1)))
    return entry_of(row_of(made), root / made.key, made)


def test_a_training_stands_above_the_published_one_by_means_of_ten_epochs(tmp_path: Path) -> None:
    losses = [n / 1000 for n in range(1, 26)]
    table = training_losses_table([trained(tmp_path, result(ACM), losses)], title="Trial.")
    assert table is not None
    assert [column.head for column in table.columns] == ["Dataset", "Trainings", "10", "20"], "25 epochs have two means"
    ours, theirs = table.lines
    assert [cell.plain for cell in ours.cells] == ["NUDT-SIRST", "1", "0.0055", "0.0155"]
    assert theirs.label == "ACM, published"
    assert [cell.plain for cell in theirs.cells[2:]] == [f"{loss:.4f}" for loss in PUBLISHED.losses[:2]]
    assert table.caption.startswith("Trial: training losses. ")


def test_a_published_loss_outside_the_range_of_three_seeds_is_marked(tmp_path: Path) -> None:
    first, second = PUBLISHED.losses[:2]
    entries = [
        trained(tmp_path, result(ACM, seed=seed), [first + step] * 10 + [second + abs(step) + 0.1] * 10)
        for seed, step in enumerate((-0.01, 0.02, 0.01))
    ]
    table = training_losses_table(entries, title="Trial")
    assert table is not None
    ours, theirs = table.lines
    assert ours.cells[1].plain == "3"
    assert ours.cells[2].plain == f"{first + 0.02 / 3:.4f} [{first - 0.01:.4f}, {first + 0.02:.4f}]"
    assert [cell.marks for cell in theirs.cells[2:]] == [(), ("a",)]
    assert [(note.mark, note.text) for note in table.notes] == [("a", "outside the range of our 3 trainings")]
    fewer = training_losses_table(entries[:2], title="Trial")
    assert fewer is not None
    assert fewer.notes == (), "two seeds are no range"


def test_what_has_no_published_loss_or_no_whole_log_is_left_out(tmp_path: Path) -> None:
    losses = [0.5] * 10
    other_list = trained(tmp_path, result(ACM, split="dfinet"), losses)
    limited = trained(tmp_path, result(ACM, limit=3), losses)
    other_network = trained(tmp_path, result(DFINET), losses)
    assert training_losses_table([other_list, limited, other_network], title="Trial") is None
    whole = trained(tmp_path, result(ACM), losses)
    broken = trained(tmp_path, result(ACM, seed=2), losses)
    training = broken.result and broken.result.experiment.weights
    assert isinstance(training, Training)
    (tmp_path / "trainings" / training.key / "log.jsonl").write_text("{\n")
    table = training_losses_table([whole, broken], title="Trial")
    assert table is not None
    assert table.lines[0].cells[1].plain == "1"
    assert training_losses_table([broken], title="Trial") is None
