"""The data: from archives, folders or drawings of images to batches."""
