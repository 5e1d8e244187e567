"""Control: commands to an open project, carried out by its owner, from this process or over a socket beside the journal."""
