"""What is installed, what works and what is slow on this machine; each finding comes with its cure."""
