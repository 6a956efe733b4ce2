"""Pages: what figures look like to a person. Nothing is computed here."""

from choreo.report.skill_report import skill_report

__all__ = ["skill_report"]
