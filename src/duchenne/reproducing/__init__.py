"""Which trainings and evaluations a published table needs, running them in order, and its rows beside ours."""
