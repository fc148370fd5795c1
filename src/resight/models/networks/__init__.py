"""The networks. Every file here may register architectures; keys are those of the published weights."""
