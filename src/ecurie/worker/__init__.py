"""The worker process: claims jobs, makes their images, writes the outcome."""
