"""What other autoscalers ask: the load that is expected, and the replicas that are commanded."""
