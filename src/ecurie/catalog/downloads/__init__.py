"""Getting files from where they are published: what there is to get, and how it gets here whole."""
