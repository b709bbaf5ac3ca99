"""Results kept as files, and mirrored to MLflow."""
