"""Results read, compared and written as tables and figures."""
