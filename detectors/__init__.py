"""Online models: anomaly detectors, forecasters, drift. No Kafka, no clock, no I/O."""
