"""What each pane shows, as pure functions from values of the engine to lines of text."""
