"""Plans, inspections and advice: changes nothing."""
