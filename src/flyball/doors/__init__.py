"""Who may come in: one file or folder per door, each speaking to the app."""
