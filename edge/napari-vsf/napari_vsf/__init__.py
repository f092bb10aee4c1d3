"""Virtual stains in napari: a widget that stains a layer, and a reader of what vsf-edge wrote."""
