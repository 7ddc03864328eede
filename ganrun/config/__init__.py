"""Command line and YAML -> checked configuration -> objects -> a run."""
