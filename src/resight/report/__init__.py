"""What a person looks at: one HTML file with numbers, curves and ranked lists."""
