"""Reports: one HTML file with numbers, curves and ranked lists."""
