"""The reference pages, each from the code's own data. One module a page; `markdown` is what they share."""
