"""Pictures of simulators, headless."""
