"""The report on many runs."""

from choreo.report.runs.page import RunsReport, runs_report, write_runs_report

__all__ = ["RunsReport", "runs_report", "write_runs_report"]
