"""From pre-trained skills to a task: the meta-controller."""

from choreo.adaptation.meta_controller import AdaptationConfig, MetaController

__all__ = ["AdaptationConfig", "MetaController"]
