"""What things cost on this machine: one file for each measurement of `choreo bench`."""
