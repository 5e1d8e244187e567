"""Control: commands to an open project, carried out by its owner: in this process, or over a socket by the journal."""
