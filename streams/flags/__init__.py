"""Feature flags on a compacted topic: rules, a reader, an OpenFeature provider, hands that set them."""
