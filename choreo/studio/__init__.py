"""The studio: a local web server and page for looking at, playing and stringing skills."""
