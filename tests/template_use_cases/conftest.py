"""The use cases bring tests of their own, as the template's do: they belong to their authors' machines."""

collect_ignore_glob = ["*"]
