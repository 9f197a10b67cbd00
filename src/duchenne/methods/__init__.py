"""The methods: one folder each, with its configuration, its class, its loss functions and a README."""
