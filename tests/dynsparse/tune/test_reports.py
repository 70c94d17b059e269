"""A report that goes through Tune's dict arrives as it was sent."""

import json

import pytest
from ray.tune.utils.util import flatten_dict

from dynsparse.tune.reports import PackReport, TrialReport

ROW = {"train_loss": 0.25, "val_acc": 0.5, "train_acc": 0.75, "done": False, "training_iteration": 3}
REPORTS = [
    TrialReport(3, done=False, row=ROW),
    TrialReport(3, done=True, row={**ROW, "done": True}, damage=["result.json: line 2 is damaged"]),
    TrialReport(2, done=True, error="TrialError: The trial took 9 s; its limit is 5 s."),
    TrialReport(0, done=True, interruption="the disk is full: here"),
    TrialReport(0, done=True, unwritten_error="ConfigError: unknown"),
]


def sent(report, **options):
    """Return what the driver reads from the dict that a worker writes."""
    result = json.loads(json.dumps(report.to_result(**options)))
    # Tune adds its own keys, such as the config of the trial, and replaces the id.
    return PackReport.from_result({**result, "config": {"seed": 1}, "trial_id": "tune"})


@pytest.mark.parametrize("report", REPORTS, ids=["running", "complete", "failed", "interrupted", "refused"])
def test_a_single_trial_reports_its_flat_row(report):
    pack = PackReport({7: report}, done=report.done)
    result = pack.to_result(is_single=True)
    assert {key: result[key] for key in report.row} == dict(report.row)
    assert result["done"] == report.done
    found = sent(pack, is_single=True)
    assert found.done == report.done and found.split_reason is None
    [(index, arrived)] = found.trials.items()
    assert index == 7
    assert (arrived.n_rows, arrived.done, arrived.error, arrived.interruption, list(arrived.damage)) == (
        report.n_rows, report.done, report.error, report.interruption, list(report.damage),
    )  # fmt: skip
    assert arrived.row == report.row


def test_a_pack_reports_each_trial_with_its_row():
    pack = PackReport(dict(zip([4, 0, 9, 2, 3], REPORTS, strict=True)), done=False, split_reason="too little memory")
    found = sent(pack, is_single=False)
    assert (found.done, found.split_reason, list(found.trials)) == (False, "too little memory", [4, 0, 9, 2, 3])
    assert found.trials[4].row == ROW
    assert [found.trials[index].is_complete for index in (4, 0, 9, 2, 3)] == [False, True, False, False, False]
    assert found.trials[9].error == REPORTS[2].error and found.trials[2].interruption == REPORTS[3].interruption
    # Tune keeps statistics of each number in nested dicts, for each trial of the pack and each step.
    assert len(flatten_dict(pack.to_result(is_single=False))) == 3


def test_a_pack_in_which_nothing_is_left_to_train_has_no_reports():
    assert sent(PackReport({}, done=True), is_single=False) == PackReport({}, done=True)
