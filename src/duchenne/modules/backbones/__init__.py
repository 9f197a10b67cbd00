"""Networks that turn pictures into maps and features, by name; `build` lists them. What stands on them lies outside."""
