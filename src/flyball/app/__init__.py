"""The porter: Config -> ports -> runtime, and what a program opens."""
