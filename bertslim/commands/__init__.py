"""One thin file per subcommand: options in, methods called, one directory or table out."""
