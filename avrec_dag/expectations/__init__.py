"""What every table promises: the rules as data, the rows they look at, and Great Expectations to judge them.

A rule that an empty table would pass is always joined by rules about how many rows there must be.
"""

from avrec_dag.expectations.judging import Verdict, judge
from avrec_dag.expectations.reading import Stored, called_for, read
from avrec_dag.expectations.rules import RULES, Rule

__all__ = ["RULES", "Rule", "Stored", "Verdict", "called_for", "judge", "read"]
