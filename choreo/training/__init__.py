"""Loops: pre-training and fine-tuning."""

from choreo.training.run import finetune, pretrain

__all__ = ["finetune", "pretrain"]
