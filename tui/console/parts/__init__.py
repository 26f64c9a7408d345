"""What screens are made of: actions on jobs and targets, surveys, retries."""
