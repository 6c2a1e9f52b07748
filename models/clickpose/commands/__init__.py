"""What the commands do once their options are read; imported when one runs."""
