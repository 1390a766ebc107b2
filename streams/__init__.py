"""The Faust app: transport, topics, state, agents, telemetry, console, command line."""
