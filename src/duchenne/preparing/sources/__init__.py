"""What readers of data sets stand on: parts of a job, folder trees, tables, landmarks; no data set is named here."""
