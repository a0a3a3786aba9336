"""Views of a trace as text and as JSON lines."""
