"""One module per data set, each naming its files and labels; what several of them share is in `sources`."""
