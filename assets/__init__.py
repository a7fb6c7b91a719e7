"""The graph: one file per group, one asset per step of `avrec_dag.steps`, plus checks and everything that starts runs."""
