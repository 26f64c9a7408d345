"""The console: a Textual app that watches the store and starts workers."""
