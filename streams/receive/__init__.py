"""`tidegate receive`: metrics that producers push, on their way to the topic `metrics`."""
