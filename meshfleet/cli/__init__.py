"""The `meshfleet` command. docs/cli.md tells what each part of it does; nothing imports this package."""
