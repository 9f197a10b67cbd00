"""Random crops, flips and colours of whole batches, on the device; which views are made is a method's own matter."""
