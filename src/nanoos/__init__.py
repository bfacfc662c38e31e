"""The science: structures, parsers, engines, workflows and embedders, without a database."""
