"""Feed every reader with damaged files, for as long as one likes."""
