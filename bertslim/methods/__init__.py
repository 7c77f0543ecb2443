"""One compression technique per file: f(model, settings, data) -> (model, report)."""
