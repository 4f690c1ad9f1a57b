"""Half precision: what the rule for it catches, and what it rejects, beside other rules."""
