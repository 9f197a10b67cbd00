"""CVC (CycleContrast): frames of one video as positives, and a cycle through frames of other videos."""
