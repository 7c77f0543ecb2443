"""int8 for a trained model: calibration, exceptions, and fine-tuning with the rounding in place."""
