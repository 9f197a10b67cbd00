"""The methods: one folder each, with configuration, class, losses and page; what several share is in `families`."""
