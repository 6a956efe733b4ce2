"""Loops: pre-training, learning from recorded data, and fine-tuning."""

from choreo.training.run import finetune, offline, pretrain

__all__ = ["finetune", "offline", "pretrain"]
