"""Look at every image of an ImageNet folder, and report what is wrong with the data set."""
