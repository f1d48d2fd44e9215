"""werf.yaml and Dockerfiles, as data: text in, checked values out; knows neither git nor Kubernetes."""
