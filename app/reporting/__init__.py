"""What an operator is shown: runs, jobs, quota, metrics, alerts."""
