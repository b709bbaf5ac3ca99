"""Tables and figures, made from result files alone: nothing here needs torch."""
