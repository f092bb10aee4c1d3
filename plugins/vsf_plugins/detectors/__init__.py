"""Where the cells of a brightfield field are."""
