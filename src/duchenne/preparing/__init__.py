"""Raw recordings and data sets become prepared data; what is done with prepared data afterwards lies elsewhere."""
