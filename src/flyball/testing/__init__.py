"""The workshop, for users too: the Lab and a conformance suite per port."""
