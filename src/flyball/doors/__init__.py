"""Who may come in: one file or folder per door, each calling the app and nothing below it by name."""
